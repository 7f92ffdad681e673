"""The laws of metaskl, for the learner and for estimators that are made with it."""

import pytest

from metaskl import MetaClassifier, MetaRegressor
from metaskl.registry import get_learner
from metaskl.testing import EstimatorLaws, LearnerLaws, trials_of

QUICK = {"learner": "deep_kernel_gp", "max_epochs": 1, "steps_per_epoch": 5}


class TestPredictive(LearnerLaws):
    @pytest.fixture
    def learner_class(self):
        return get_learner("deep_kernel_gp")


class TestMarginal(TestPredictive):
    @pytest.fixture
    def trials(self, learner_class):
        arguments = {"objective": "marginal", "kernel": "matern32", "mean": "constant"}
        kinds = ("regression", "classes")  # the rest differs from the above in nothing
        return [t for t in trials_of(learner_class, arguments | {"ard": False}) if t.name in kinds]


class TestEstimators(EstimatorLaws):
    @pytest.fixture(
        params=[
            MetaRegressor(**QUICK),
            MetaClassifier(**QUICK),
            MetaClassifier(**QUICK, label_space="task", n_way=2),
        ],
        ids=["numbers", "shared classes", "private classes"],
    )
    def estimator(self, request):
        return request.param
