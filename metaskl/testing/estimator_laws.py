"""The laws of a meta-learning estimator."""

from __future__ import annotations

from typing import Any

import pytest

from metaskl.testing.estimator_adapting import EstimatorAdaptingLaws
from metaskl.testing.estimator_failing import EstimatorFailingLaws
from metaskl.testing.estimator_fitting import EstimatorFittingLaws
from metaskl.testing.estimator_storing import EstimatorStoringLaws
from metaskl.testing.tables import TaskTable, table_for


class EstimatorLaws(
    EstimatorAdaptingLaws, EstimatorFittingLaws, EstimatorStoringLaws, EstimatorFailingLaws
):
    """The laws that every meta-learning estimator keeps; give the fixture `estimator`.

    The estimator comes unfitted, with hyper-parameters that make it quick (``max_epochs=1,
    steps_per_epoch=5``). Some of `check_estimator` ask that it learns its training data well
    enough; where it then needs more, give it so by the fixture `longer_trained`.

    Examples
    --------
    >>> import pytest
    >>> from metaskl.testing import EstimatorLaws
    >>> class TestMyRegressor(EstimatorLaws):
    ...     @pytest.fixture
    ...     def estimator(self):
    ...         from metaskl import RidgeHeadRegressor
    ...         return RidgeHeadRegressor(max_epochs=1, steps_per_epoch=5)
    """

    @pytest.fixture
    def estimator(self) -> Any:
        """Give the unfitted estimator."""
        raise NotImplementedError("a subclass of EstimatorLaws gives the fixture estimator")

    @pytest.fixture
    def longer_trained(self, estimator: Any) -> Any:
        """Give it as it must be set to learn its training data; as it is, by default."""
        return estimator

    @pytest.fixture
    def table(self, estimator: Any) -> TaskTable:
        """Give rows of many tasks; override it for other data."""
        return table_for(estimator)
