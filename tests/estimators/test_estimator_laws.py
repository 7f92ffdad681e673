from inspect import signature

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

import metaskl
from metaskl.estimators.base import BaseMetaEstimator
from metaskl.estimators.kinds import BaseMetaClassifier
from metaskl.testing import EstimatorLaws, public_estimators

QUICK = {"max_epochs": 1, "steps_per_epoch": 5}
BRIEF = {"max_epochs": 1, "steps_per_epoch": 2, "meta_batch_size": 4}
PRIVATE = {**BRIEF, "label_space": "task", "n_way": 2}
# Where a law says nothing of what was learned, fewer steps to adapt by will do.
FEW_STEPS = {"adaptation_steps": 3, "cg_steps": 2}
LONGER = {"max_epochs": 1, "steps_per_epoch": 40, "meta_batch_size": 4}
# What a family needs beyond QUICK to pass scikit-learn's checks of what was learned: those that
# take gradient steps must adapt well enough after so little meta-training, those that learn
# from nothing how to read a support must be given some time.
STEPS = {**QUICK, "adaptation_steps": 10, "inner_lr": 0.2, "meta_batch_size": 4}
NEEDS = {
    "AttentiveCNP": {**LONGER, "outer_lr": 0.02, "hidden_size": 32},
    "CAVIA": {**LONGER, "outer_lr": 0.02},
    "CNP": {**LONGER, "outer_lr": 0.02, "hidden_size": 32},
    "IMAML": {**STEPS, "adaptation_steps": 20, "pull": 0.01, "cg_steps": 2},
    "InContext": {**LONGER, "outer_lr": 0.01, "width": 16, "n_layers": 2, "n_heads": 2}
    | {"steps_per_epoch": 20, "meta_batch_size": 16},
    "LoRA": {**QUICK, "pull": 0.05, "inner_lr": 0.02},
    "MAML": STEPS,
    "MAMLClassifier": {**STEPS, "inner_lr": 0.3},
    "MANN": {**LONGER, "meta_batch_size": 16, "n_slots": 16},
    "Reptile": {**STEPS, "adaptation_steps": 20},
    "SNAIL": {**LONGER, "meta_batch_size": 16, "n_filters": 16, "n_dilations": 2},
    "Transfer": {**QUICK, "pull": 0.05, "inner_lr": 0.02},
}


def needs_of(name):
    family = name.removesuffix("Regressor").removesuffix("Classifier")
    return NEEDS.get(name, NEEDS.get(family, QUICK))


META_LEARNERS = {
    name: cls for name, cls in public_estimators().items() if issubclass(cls, BaseMetaEstimator)
}
TRAINED = {name: cls(**needs_of(name)) for name, cls in META_LEARNERS.items()}


def meta_learners():
    """Return every public meta-learner trained briefly, classifiers with private classes too."""
    found = {}
    for name, cls in META_LEARNERS.items():
        few = {k: v for k, v in FEW_STEPS.items() if k in signature(cls).parameters}
        found[name] = cls(**{**needs_of(name), **few, **BRIEF})
        if issubclass(cls, BaseMetaClassifier):
            found[f"{name} of private classes"] = cls(**few, **PRIVATE)
    return found


ESTIMATORS = meta_learners() | {
    "MetaClassifier of private classes": metaskl.MetaClassifier(learner="protonet", **PRIVATE),
    "PerTask": metaskl.PerTask(Ridge()),
    "PerTask of a meta-learner": metaskl.PerTask(
        metaskl.RidgeHeadRegressor(random_state=0, **QUICK)
    ),
    "ProtoNetClassifier by Mahalanobis distances": metaskl.ProtoNetClassifier(
        distance="mahalanobis", **BRIEF
    ),
    "ShrunkClassifier": metaskl.ShrunkClassifier(),
    "ShrunkRegressor": metaskl.ShrunkRegressor(),
}
# Ordinary estimators of one task: their fit is the adaptation, so there are no task ids.
OF_ONE_TASK = [
    metaskl.AdaptedRegressor(metaskl.RidgeHeadRegressor(random_state=0, **QUICK)),
    metaskl.AdaptedClassifier(metaskl.ProtoNetClassifier(random_state=0, **QUICK)),
]


@pytest.mark.parametrize("name", ESTIMATORS)
class TestEstimators(EstimatorLaws):
    @pytest.fixture
    def estimator(self, name):
        return ESTIMATORS[name]

    @pytest.fixture
    def longer_trained(self, name, estimator):
        return TRAINED.get(name, estimator)


class TestPooled(EstimatorLaws):
    @pytest.fixture
    def estimator(self):
        return metaskl.Pooled(LogisticRegression())

    def test_other_feature_names_are_refused(self, estimator, table):
        # It adapts to nothing and so looks at no support: the names matter when predicting.
        frame = pd.DataFrame(table.X, columns=["x0", "x1", "x2"])
        fitted = estimator.fit(frame, table.y)
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(frame.rename(columns={"x0": "other"}))

    def test_bad_supports_are_refused(self, estimator, table):
        # As above: what it does not look at it cannot refuse.
        fitted = estimator.fit(table.X, table.y)
        assert fitted.adapt([["text"]], [0]).predict(table.X_query).shape == (16,)


@parametrize_with_checks(OF_ONE_TASK)
def test_estimators_of_one_task(estimator, check):
    check(estimator)


def test_every_public_estimator_is_covered():
    covered = {type(estimator).__name__ for estimator in [*ESTIMATORS.values(), *OF_ONE_TASK]}
    searches = {"AutoMetaClassifier", "AutoMetaRegressor", "TaskSearchCV"}  # see tests/search
    assert set(public_estimators()) == covered | searches | {"Pooled"}
