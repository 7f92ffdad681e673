"""The laws of metaskl, for the learner and for estimators that are made with it."""

import pytest

from metaskl.testing import PluginLaws, learners_of, trials_of


class TestLearners(PluginLaws):
    @pytest.fixture(params=learners_of("metaskl-gp"))
    def learner_name(self, request):
        return request.param


class TestMarginal(PluginLaws):
    @pytest.fixture(params=learners_of("metaskl-gp"))
    def learner_name(self, request):
        return request.param

    @pytest.fixture
    def learner_arguments(self):
        return {"objective": "marginal", "kernel": "matern32", "mean": "constant", "ard": False}

    @pytest.fixture
    def trials(self, learner_class, learner_arguments):
        kinds = ("regression", "classes")  # the rest differs from the above in nothing
        return [t for t in trials_of(learner_class, learner_arguments) if t.name in kinds]
