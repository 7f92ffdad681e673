import pytest

from metaskl.testing import LearnerLaws, registered_learners

# What each learner is built with, so that a law is quick.
ARGUMENTS = {"maml": {"adaptation_steps": 2}, "transfer": {"adaptation_steps": 4}}


@pytest.mark.parametrize("name", registered_learners())
class TestRegisteredLearners(LearnerLaws):
    @pytest.fixture
    def learner_class(self, name):
        return registered_learners()[name]

    @pytest.fixture
    def learner_arguments(self, name):
        return ARGUMENTS.get(name, {})
