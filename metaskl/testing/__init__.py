"""The laws that every learner and every estimator keeps, for the authors of plugins.

A plugin's test is a subclass with one fixture, or one call::

    from metaskl.testing import LearnerLaws, check_learner

    class TestMine(LearnerLaws):
        @pytest.fixture
        def learner_class(self):
            return Mine
"""

from metaskl.errors import MissingExtraError

try:
    import pytest
except ImportError as error:
    raise MissingExtraError(
        f"the laws need pytest, which cannot be imported ({error}). Install it with pip install "
        "pytest."
    ) from error

pytest.register_assert_rewrite(
    "metaskl.testing.learner_adapting",
    "metaskl.testing.learner_building",
    "metaskl.testing.learner_training",
    "metaskl.testing.estimator_adapting",
    "metaskl.testing.estimator_fitting",
    "metaskl.testing.estimator_storing",
)

from metaskl.testing.audit import public_estimators, registered_learners  # noqa: E402
from metaskl.testing.estimator_laws import EstimatorLaws  # noqa: E402
from metaskl.testing.learner_laws import LearnerLaws  # noqa: E402
from metaskl.testing.running import check_learner, check_meta_estimator, laws_of  # noqa: E402
from metaskl.testing.tables import TaskTable, table_for  # noqa: E402
from metaskl.testing.trials import Trial, trials_of  # noqa: E402

__all__ = [
    "EstimatorLaws",
    "LearnerLaws",
    "TaskTable",
    "Trial",
    "check_learner",
    "check_meta_estimator",
    "laws_of",
    "public_estimators",
    "registered_learners",
    "table_for",
    "trials_of",
]
