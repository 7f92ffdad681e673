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
# What learns how to learn from scratch needs some steps more for them.
MANN = {"max_epochs": 1, "steps_per_epoch": 40, "n_slots": 16}
SNAIL = {"max_epochs": 1, "steps_per_epoch": 40, "n_filters": 16, "n_dilations": 2}
# Neural processes learn everything, and so must be given some time.
CNP = {"max_epochs": 1, "steps_per_epoch": 40, "outer_lr": 2e-2, "meta_batch_size": 4}
CNP |= {"hidden_size": 32}
# A transformer must learn to read first.
IN_CONTEXT = {"max_epochs": 1, "steps_per_epoch": 20, "outer_lr": 0.01}
IN_CONTEXT |= {"width": 16, "n_layers": 2, "n_heads": 2}
PRIVATE = {**QUICK, "label_space": "task", "n_way": 2}

# As for MAML: the others that take gradient steps.
REPTILE = {**QUICK, "adaptation_steps": 20, "inner_lr": 0.2, "meta_batch_size": 4}
IMAML = {**REPTILE, "pull": 0.01, "cg_steps": 2}
# Its context means nothing before the network is trained to heed it.
CAVIA = {"max_epochs": 1, "steps_per_epoch": 40, "outer_lr": 0.02, "meta_batch_size": 4}

ESTIMATORS = {
    "ADKFClassifier": metaskl.ADKFClassifier(**QUICK),
    "ADKFClassifier of private classes": metaskl.ADKFClassifier(**PRIVATE),
    "ADKFRegressor": metaskl.ADKFRegressor(**QUICK),
    "AttentiveCNPClassifier": metaskl.AttentiveCNPClassifier(**CNP),
    "AttentiveCNPClassifier of private classes": metaskl.AttentiveCNPClassifier(**PRIVATE),
    "AttentiveCNPRegressor": metaskl.AttentiveCNPRegressor(**CNP),
    "CNPClassifier": metaskl.CNPClassifier(**CNP),
    "CNPClassifier of private classes": metaskl.CNPClassifier(**PRIVATE),
    "CNPRegressor": metaskl.CNPRegressor(**CNP),
    "DKTClassifier": metaskl.DKTClassifier(**QUICK),
    "DKTClassifier of private classes": metaskl.DKTClassifier(**PRIVATE),
    "DKTRegressor": metaskl.DKTRegressor(**QUICK),
    "LinearProbeClassifier": metaskl.LinearProbeClassifier(**QUICK),
    "LinearProbeClassifier of private classes": metaskl.LinearProbeClassifier(**PRIVATE),
    "LinearProbeRegressor": metaskl.LinearProbeRegressor(**QUICK),
    "LogisticHeadClassifier": metaskl.LogisticHeadClassifier(**QUICK),
    "LogisticHeadClassifier of private classes": metaskl.LogisticHeadClassifier(**PRIVATE),
    "LoRAClassifier": metaskl.LoRAClassifier(**TRANSFER),
    "LoRARegressor": metaskl.LoRARegressor(**TRANSFER),
    "CAVIAClassifier": metaskl.CAVIAClassifier(**CAVIA),
    "CAVIAClassifier of private classes": metaskl.CAVIAClassifier(**PRIVATE),
    "CAVIARegressor": metaskl.CAVIARegressor(**CAVIA),
    "IMAMLClassifier": metaskl.IMAMLClassifier(**IMAML),
    "IMAMLClassifier of private classes": metaskl.IMAMLClassifier(**PRIVATE),
    "IMAMLRegressor": metaskl.IMAMLRegressor(**IMAML),
    "MAMLRegressor": metaskl.MAMLRegressor(**MAML),
    "MAMLClassifier": metaskl.MAMLClassifier(**MAML_CLASSES),
    "MAMLClassifier of private classes": metaskl.MAMLClassifier(**PRIVATE),
    "MANNRegressor": metaskl.MANNRegressor(**MANN),
    "MANNClassifier": metaskl.MANNClassifier(**MANN),
    "MANNClassifier of private classes": metaskl.MANNClassifier(**PRIVATE),
    "InContextClassifier": metaskl.InContextClassifier(**IN_CONTEXT),
    "InContextClassifier of private classes": metaskl.InContextClassifier(**PRIVATE),
    "InContextRegressor": metaskl.InContextRegressor(**IN_CONTEXT),
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
    "ReptileClassifier": metaskl.ReptileClassifier(**REPTILE),
    "ReptileClassifier of private classes": metaskl.ReptileClassifier(**PRIVATE),
    "ReptileRegressor": metaskl.ReptileRegressor(**REPTILE),
    "ProtoNetClassifier by Mahalanobis distances": metaskl.ProtoNetClassifier(
        distance="mahalanobis", **QUICK
    ),
    "RelationClassifier": metaskl.RelationClassifier(**QUICK),
    "RelationClassifier of private classes": metaskl.RelationClassifier(**PRIVATE),
    "RidgeHeadClassifier": metaskl.RidgeHeadClassifier(**QUICK),
    "RidgeHeadClassifier of private classes": metaskl.RidgeHeadClassifier(**PRIVATE),
    "RidgeHeadRegressor": metaskl.RidgeHeadRegressor(**QUICK),
    "SNAILClassifier": metaskl.SNAILClassifier(**SNAIL),
    "SNAILClassifier of private classes": metaskl.SNAILClassifier(**PRIVATE),
    "SNAILRegressor": metaskl.SNAILRegressor(**SNAIL),
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
