"""The laws of a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from metaskl.learners import MetaLearner
from metaskl.testing.learner_adapting import AdaptingLaws
from metaskl.testing.learner_building import BuildingLaws
from metaskl.testing.learner_training import TrainingLaws
from metaskl.testing.trials import Trial, trials_of


class LearnerLaws(AdaptingLaws, TrainingLaws, BuildingLaws):
    """The laws that every learner keeps; subclass it and give the fixture `learner_class`.

    Each law is tried on every kind of target and label space that the learner's `kinds` allow,
    in double precision, so that rounding hides nothing. Hyper-parameters that make the learner
    small or quick are given by the fixture `learner_arguments`.

    Examples
    --------
    >>> import pytest
    >>> from metaskl.testing import LearnerLaws
    >>> class TestMyLearner(LearnerLaws):
    ...     @pytest.fixture
    ...     def learner_class(self):
    ...         from metaskl.learners.ridge_head import RidgeHead
    ...         return RidgeHead
    """

    @pytest.fixture
    def learner_class(self) -> type[MetaLearner]:
        """Give the learner's class."""
        raise NotImplementedError("a subclass of LearnerLaws gives the fixture learner_class")

    @pytest.fixture
    def learner_arguments(self) -> Mapping[str, Any]:
        """Give hyper-parameters for every learner made; none by default."""
        return {}

    @pytest.fixture
    def without_gradient(self) -> frozenset[str]:
        """Give the names of the parameters that the outer gradient need not reach."""
        return frozenset()

    @pytest.fixture
    def trials(
        self, learner_class: type[MetaLearner], learner_arguments: Mapping[str, Any]
    ) -> list[Trial]:
        """Give the ways to build the learner; override it to add or leave out some."""
        return trials_of(learner_class, learner_arguments)
