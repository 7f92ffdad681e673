import pytest

import metaskl
from metaskl.testing import EstimatorLaws

QUICK = {"max_epochs": 1, "steps_per_epoch": 2}
FEW = {"cv": 2, "n_shot": 5, "n_trials": 0, "learner_params": QUICK}
ESTIMATORS = {
    "AutoMetaRegressor": metaskl.AutoMetaRegressor(
        learners=["ridge_head"], baselines=["per-task ridge", "pooled ridge"], **FEW
    ),
    "AutoMetaClassifier": metaskl.AutoMetaClassifier(
        learners=["protonet"], baselines=["per-task logistic"], **FEW
    ),
    "AutoMetaClassifier of private classes": metaskl.AutoMetaClassifier(
        learners=["protonet"],
        baselines=["per-task logistic"],
        label_space="task",
        n_way=2,
        **(FEW | {"n_shot": 2}),
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
class TestAutomaticEstimators(EstimatorLaws):
    @pytest.fixture
    def estimator(self, name):
        return ESTIMATORS[name]
