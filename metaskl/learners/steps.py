"""How many gradient steps are taken on a support: in meta-training, and on new tasks."""

from __future__ import annotations

from numbers import Integral
from typing import ClassVar

from metaskl.errors import ParameterError


class Steps:
    """The numbers of inner steps of a learner.

    Attributes
    ----------
    adaptation_steps : int
        In meta-training, >= 1.
    test_adaptation_steps : int or None
        In evaluation mode, >= 1; None takes as many as in training. It may be set after training.

    Raises
    ------
    ParameterError
        If one is set to something else.
    """

    test_arguments: ClassVar[tuple[str, ...]] = ("test_adaptation_steps",)
    training: bool

    @property
    def adaptation_steps(self) -> int:
        """Inner steps in meta-training."""
        return self._steps

    @adaptation_steps.setter
    def adaptation_steps(self, steps: int) -> None:
        if not _is_count(steps):
            raise ParameterError(
                f"adaptation_steps must be a whole number of at least 1, got {steps!r}. "
                "For a model without adaptation use Pooled or Transfer."
            )
        self._steps = steps

    @property
    def test_adaptation_steps(self) -> int | None:
        """Inner steps in evaluation mode."""
        return self._test_steps

    @test_adaptation_steps.setter
    def test_adaptation_steps(self, steps: int | None) -> None:
        if not (steps is None or _is_count(steps)):
            raise ParameterError(
                "test_adaptation_steps must be a whole number of at least 1 or None, got "
                f"{steps!r}. None takes as many steps as in meta-training."
            )
        self._test_steps = steps

    def n_steps(self) -> int:
        """Return how many inner steps are taken in the present mode."""
        if self.training or self._test_steps is None:
            return self._steps
        return self._test_steps


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1
