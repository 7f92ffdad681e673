"""Any registered learner as an estimator, by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metaskl.errors import ParameterError
from metaskl.estimators.base import BaseMetaEstimator, outer_space
from metaskl.estimators.docs import with_shared_parameters
from metaskl.estimators.inputs import Array
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.estimators.state import learner_arguments
from metaskl.learners import MetaLearner
from metaskl.learners.space import Dimension
from metaskl.registry import get_learner


@dataclass(kw_only=True, eq=False, repr=False)
class _GenericFamily(BaseMetaEstimator):
    learner: str = "ridge_head"
    learner_params: dict[str, Any] | None = None

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the outer rate: the learner's own are in ``get_learner(name).search_space()``."""
        return outer_space()

    def _learner(self) -> type[MetaLearner]:
        found: type[MetaLearner] = get_learner(self.learner)
        return found

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
class MetaRegressor(_GenericFamily, BaseMetaRegressor):
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

    def predict(  # type: ignore[override]
        self, X: Any, return_std: bool = False
    ) -> Array | tuple[Array, Array]:
        """Predict targets, and how uncertain they are if the learner knows it.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        mean : ndarray of shape (n_rows,) or (n_rows, n_outputs)
            The targets: of the adapted task, or before adapting what the tasks have in common.
        std : ndarray of the same shape, with ``return_std=True``
            The predictive standard deviation.

        Raises
        ------
        ParameterError
            If the learner gives no standard deviations.
        """
        mean = super().predict(X)
        if not return_std:
            return mean
        if self._learner().predict_std is MetaLearner.predict_std:
            raise ParameterError(
                f"return_std must be False for learner={self.learner!r}, which gives no standard "
                "deviations, got True. Use learner='ridge_head', which does."
            )
        std = self._outputs(X, std=True) * self.y_scaling_["scale"]
        return mean, (std[:, 0] if self.y_is_1d_ else std)


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
