"""The laws that every learner and every estimator keeps, for the authors of plugins.

A plugin's test is one fixture, which covers all learners that the package offers::

    import pytest
    from metaskl.testing import PluginLaws, learners_of

    class TestLearners(PluginLaws):
        @pytest.fixture(params=learners_of("metaskl-mine"))
        def learner_name(self, request):
            return request.param

`LearnerLaws` and `EstimatorLaws` are its two halves, for a class that is not installed and for
an estimator of one's own; `check_learner` and `check_meta_estimator` are the same as one call.
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
    "metaskl.testing.estimator_failing",
    "metaskl.testing.estimator_fitting",
    "metaskl.testing.estimator_storing",
)

from metaskl.testing.audit import (  # noqa: E402
    learners_of,
    public_estimators,
    registered_learners,
    uncovered_learners,
)
from metaskl.testing.estimator_laws import EstimatorLaws  # noqa: E402
from metaskl.testing.learner_laws import LearnerLaws  # noqa: E402
from metaskl.testing.plugin_laws import PluginLaws  # noqa: E402
from metaskl.testing.running import check_learner, check_meta_estimator, laws_of  # noqa: E402
from metaskl.testing.tables import TaskTable, table_for  # noqa: E402
from metaskl.testing.trials import Trial, trials_of  # noqa: E402

__all__ = [
    "EstimatorLaws",
    "LearnerLaws",
    "PluginLaws",
    "TaskTable",
    "Trial",
    "check_learner",
    "check_meta_estimator",
    "laws_of",
    "learners_of",
    "public_estimators",
    "registered_learners",
    "table_for",
    "trials_of",
    "uncovered_learners",
]
