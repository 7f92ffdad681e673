"""All the laws, for the learners that a package offers."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from sklearn.base import clone

from metaskl import MetaClassifier, MetaRegressor
from metaskl.learners import MetaLearner
from metaskl.registry import get_learner
from metaskl.testing.estimator_laws import EstimatorLaws
from metaskl.testing.learner_laws import LearnerLaws
from metaskl.testing.round_trips import WAYS
from metaskl.testing.tables import table_for

# Enough for all laws but those of scikit-learn's checks that judge what was learned.
_BRIEF = {"max_epochs": 1, "steps_per_epoch": 2, "meta_batch_size": 4}
_JUDGED = {"max_epochs": 1, "steps_per_epoch": 5, "meta_batch_size": 16}


class PluginLaws(LearnerLaws):
    """All laws of an installed learner, and of estimators made with it, from one fixture.

    The laws of learners (:class:`LearnerLaws`) are tried on the learner itself; those of
    estimators (:class:`EstimatorLaws`), scikit-learn's own checks among them, on a
    :class:`~metaskl.MetaRegressor` and a :class:`~metaskl.MetaClassifier` of it, with shared
    and with private classes, as far as its `kinds` allow.

    The fixture `learner_name` gives the name in the registry. Made from `learners_of`, as here,
    it covers every learner that the package offers, those added later too. Further fixtures may
    be overridden: `learner_arguments` (hyper-parameters that make the learner quick),
    `without_gradient`, and `estimator_arguments` (hyper-parameters of the estimators, such as
    ``{"steps_per_epoch": 40}`` for a learner that needs longer than 5 steps to learn what
    scikit-learn's checks ask for; the other laws train 2 steps in any case).

    Examples
    --------
    >>> import pytest
    >>> from metaskl.testing import PluginLaws, learners_of
    >>> class TestLearners(PluginLaws):
    ...     @pytest.fixture(params=learners_of("metaskl"))
    ...     def learner_name(self, request):
    ...         return request.param
    """

    @pytest.fixture
    def learner_name(self) -> str:
        """Give the learner's name in the registry."""
        raise NotImplementedError("a subclass of PluginLaws gives the fixture learner_name")

    @pytest.fixture
    def learner_class(self, learner_name: str) -> type[MetaLearner]:
        """Give the learner's class, as the registry finds it."""
        found: type[MetaLearner] = get_learner(learner_name)
        return found

    @pytest.fixture
    def estimator_arguments(self) -> Mapping[str, Any]:
        """Give hyper-parameters of the estimators; how long they train, where that is judged."""
        return {}

    @pytest.fixture
    def judged_arguments(self, estimator_arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Give what an estimator is set to where scikit-learn's checks judge what it learned."""
        return {**_JUDGED, **estimator_arguments}

    @pytest.fixture
    def estimators(
        self,
        learner_name: str,
        learner_class: type[MetaLearner],
        learner_arguments: Mapping[str, Any],
        estimator_arguments: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Give estimators of the learner by what they predict."""
        given: dict[str, Any] = {
            "learner": learner_name,
            "learner_params": dict(learner_arguments) or None,
        }
        brief = {name: _BRIEF[name] for name in ("max_epochs", "steps_per_epoch")}
        given |= {**_BRIEF, **estimator_arguments, **brief}
        found: dict[str, Any] = {}
        if "regression" in learner_class.kinds:
            found["numbers"] = MetaRegressor(**given)
        if "classification" in learner_class.kinds:
            found["shared classes"] = MetaClassifier(**given)
            found["private classes"] = MetaClassifier(**given, label_space="task", n_way=2)
        return found


def keep_law(
    name: str, law: Callable[..., None], estimator: Any, judged: Mapping[str, Any] | None = None
) -> None:
    """Try one law of estimators on one estimator, in every way there is.

    Where what it learned is judged, it is set to the hyper-parameters `judged`.
    """
    longer_trained = estimator if judged is None else clone(estimator).set_params(**judged)
    wanted = inspect.signature(law).parameters
    for way in WAYS if "way" in wanted else [""]:
        with tempfile.TemporaryDirectory() as folder:
            given = {"estimator": estimator, "longer_trained": longer_trained}
            given |= {"table": table_for(estimator), "way": way}
            call_law(name, law, {**given, "tmp_path": Path(folder)})


def call_law(name: str, law: Callable[..., None], given: Mapping[str, Any]) -> None:
    """Call a law with what it asks for, and name it where it is broken."""
    try:
        law(**{key: given[key] for key in inspect.signature(law).parameters})
    except pytest.skip.Exception:
        return
    except Exception as error:
        raise AssertionError(f"{name.removeprefix('test_').replace('_', ' ')}: {error}") from error


def _on_each_estimator(name: str) -> Callable[..., None]:
    """Return a law of estimators as one that is tried on all estimators of a learner."""

    @wraps(getattr(EstimatorLaws, name))
    def law(self: Any, estimators: dict[str, Any], judged_arguments: dict[str, Any]) -> None:
        for label, estimator in estimators.items():
            of_one = getattr(EstimatorLaws(), name)
            keep_law(f"{name}, {label}", of_one, estimator, judged_arguments)

    # The signature is this one's own, and what was parametrised is tried in a loop.
    del law.__dict__["__wrapped__"]
    law.__dict__.pop("pytestmark", None)
    return law


for _name in [name for name in dir(EstimatorLaws) if name.startswith("test_")]:
    setattr(PluginLaws, _name, _on_each_estimator(_name))
