import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

import metaskl
from metaskl.testing import EstimatorLaws, public_estimators

QUICK = {"max_epochs": 1, "steps_per_epoch": 5}
# MAML must adapt well enough after so little meta-training for scikit-learn's checks.
MAML = {**QUICK, "adaptation_steps": 10, "inner_lr": 0.2, "meta_batch_size": 4}
MAML_CLASSES = {**MAML, "inner_lr": 0.3}
# And Transfer must be free to move from what so little training taught it.
TRANSFER = {**QUICK, "pull": 0.05, "inner_lr": 0.02}
# A transformer must learn to read first.
IN_CONTEXT = {"max_epochs": 1, "steps_per_epoch": 20, "outer_lr": 0.01}
IN_CONTEXT |= {"width": 16, "n_layers": 2, "n_heads": 2}
PRIVATE = {**QUICK, "label_space": "task", "n_way": 2}

ESTIMATORS = {
    "InContextClassifier": metaskl.InContextClassifier(**IN_CONTEXT),
    "InContextClassifier of private classes": metaskl.InContextClassifier(**PRIVATE),
    "InContextRegressor": metaskl.InContextRegressor(**IN_CONTEXT),
    "MAMLRegressor": metaskl.MAMLRegressor(**MAML),
    "MAMLClassifier": metaskl.MAMLClassifier(**MAML_CLASSES),
    "MAMLClassifier of private classes": metaskl.MAMLClassifier(**PRIVATE),
    "MatchingClassifier": metaskl.MatchingClassifier(**QUICK),
    "MatchingClassifier of private classes": metaskl.MatchingClassifier(**PRIVATE),
    "MatchingRegressor": metaskl.MatchingRegressor(**QUICK),
    "MetaRegressor": metaskl.MetaRegressor(**QUICK),
    "MetaClassifier": metaskl.MetaClassifier(**QUICK),
    "MetaClassifier of private classes": metaskl.MetaClassifier(learner="protonet", **PRIVATE),
    "PerTask": metaskl.PerTask(Ridge()),
    "PerTask of a meta-learner": metaskl.PerTask(
        metaskl.RidgeHeadRegressor(random_state=0, **QUICK)
    ),
    "ProtoNetClassifier": metaskl.ProtoNetClassifier(**QUICK),
    "ProtoNetClassifier of private classes": metaskl.ProtoNetClassifier(**PRIVATE),
    "ProtoNetClassifier by Mahalanobis distances": metaskl.ProtoNetClassifier(
        distance="mahalanobis", **QUICK
    ),
    "RelationClassifier": metaskl.RelationClassifier(**QUICK),
    "RelationClassifier of private classes": metaskl.RelationClassifier(**PRIVATE),
    "RidgeHeadClassifier": metaskl.RidgeHeadClassifier(**QUICK),
    "RidgeHeadClassifier of private classes": metaskl.RidgeHeadClassifier(**PRIVATE),
    "RidgeHeadRegressor": metaskl.RidgeHeadRegressor(**QUICK),
    "ShrunkClassifier": metaskl.ShrunkClassifier(),
    "ShrunkRegressor": metaskl.ShrunkRegressor(),
    "SimpleShotClassifier": metaskl.SimpleShotClassifier(**QUICK),
    "SimpleShotClassifier of private classes": metaskl.SimpleShotClassifier(**PRIVATE),
    "TransferClassifier": metaskl.TransferClassifier(**TRANSFER),
    "TransferClassifier of private classes": metaskl.TransferClassifier(**PRIVATE),
    "TransferRegressor": metaskl.TransferRegressor(**TRANSFER),
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


@parametrize_with_checks(OF_ONE_TASK)
def test_estimators_of_one_task(estimator, check):
    check(estimator)


def test_every_public_estimator_is_covered():
    covered = {type(estimator).__name__ for estimator in [*ESTIMATORS.values(), *OF_ONE_TASK]}
    assert set(public_estimators()) == covered | {"Pooled"}
