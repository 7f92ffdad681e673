"""Any registered learner as an estimator, by its name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

from metaskl.errors import ParameterError
from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.state import learner_arguments
from metaskl.estimators.training import outer_space
from metaskl.estimators.uncertain import PredictsStd
from metaskl.learners import MetaLearner
from metaskl.learners.space import Dimension
from metaskl.learners.steps import with_test_steps
from metaskl.registry import get_learner


@dataclass(kw_only=True, eq=False, repr=False)
class _GenericFamily(BaseMetaEstimator):
    learner: str = "ridge_head"
    learner_params: dict[str, Any] | None = None

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the outer rate: the learner's own are in ``get_learner(name).search_space()``."""
        return outer_space()

    def set_params(self, **params: Any) -> Self:
        """Set hyper-parameters; ``learner_params__inner_lr`` sets one of the learner's own.

        Parameters
        ----------
        **params
            Values by name.

        Returns
        -------
        self
            The estimator.
        """
        prefix = "learner_params__"
        super().set_params(**{k: v for k, v in params.items() if not k.startswith(prefix)})
        own = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
        if own:
            self.learner_params = {**(self.learner_params or {}), **own}
        return self

    def _learner(self) -> type[MetaLearner]:
        found: type[MetaLearner] = get_learner(self.learner)
        return found

    def _steps_asked(self) -> AbstractContextManager[None]:
        own = self.learner_params or {}
        has = "test_adaptation_steps" in own
        return with_test_steps(own["test_adaptation_steps"]) if has else nullcontext()

    def _learner_parameters(self) -> dict[str, Any]:
        own = dict(self.learner_params or {})
        unknown = sorted(set(own) - set(learner_arguments(self._learner(), own)))
        if unknown:
            raise ParameterError(
                f"learner_params must be arguments of the learner {self.learner!r}, got {unknown}. "
                f"Look at help({self._learner().__name__})."
            )
        return own


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MetaRegressor(PredictsStd, _GenericFamily, BaseMetaRegressor):
    """A regressor by any registered learner, a plugin's too.

    Parameters
    ----------
    learner : str, default="ridge_head"
        Name in the registry; ``metaskl learners`` lists them.
    learner_params : dict, optional
        The learner's own hyper-parameters.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    Examples
    --------
    >>> from metaskl import MetaRegressor
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = MetaRegressor(learner="maml", learner_params={"adaptation_steps": 1},
    ...                      max_epochs=1, steps_per_epoch=5)
    >>> meta = meta.fit(lines.X, lines.y, groups=lines.groups)
    >>> meta.adapt(lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """


@with_shared_parameters
@dataclass(kw_only=True, eq=False, repr=False)
class MetaClassifier(_GenericFamily, BaseMetaClassifier):
    """A classifier by any registered learner, a plugin's too.

    Parameters
    ----------
    learner : str, default="ridge_head"
        Name in the registry; ``metaskl learners`` lists them.
    learner_params : dict, optional
        The learner's own hyper-parameters.
    <shared parameters>

    Attributes
    ----------
    <shared attributes>

    Examples
    --------
    >>> from metaskl import MetaClassifier
    >>> from metaskl.tasks import BlobTasks
    >>> blobs = BlobTasks().sample(30, 30, random_state=0)
    >>> meta = MetaClassifier(learner="protonet", max_epochs=1, steps_per_epoch=5)
    >>> meta = meta.fit(blobs.X, blobs.y, groups=blobs.groups)
    >>> meta.adapt(blobs.X[:9], blobs.y[:9]).predict(blobs.X[9:11]).shape
    (2,)
    """
