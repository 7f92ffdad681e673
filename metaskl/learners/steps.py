"""How many gradient steps are taken on the supports of new tasks, if another number is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral

from metaskl.errors import ParameterError

_ASKED: ContextVar[tuple[int | None] | None] = ContextVar("test_adaptation_steps", default=None)


@contextmanager
def with_test_steps(steps: int | None) -> Iterator[None]:
    """Have learners take so many steps in evaluation mode, inside this block and thread.

    Copies of an estimator share one learner, and each may ask for a number of its own: so the
    learner is told for the call, and keeps nothing.

    Parameters
    ----------
    steps : int or None
        Inner gradient steps, >= 1; None takes as many as in training.

    Raises
    ------
    ParameterError
        If it is neither.
    """
    check_test_steps(steps)
    token = _ASKED.set((steps,))
    try:
        yield
    finally:
        _ASKED.reset(token)


def steps_on_new_tasks(own: int | None, in_training: int) -> int:
    """Return how many to take: what was asked for, or else a learner's own number."""
    asked = _ASKED.get()
    steps = own if asked is None else asked[0]
    return in_training if steps is None else steps


def check_steps(steps: int) -> None:
    """Raise unless this is a number of steps."""
    if not _is_count(steps):
        raise ParameterError(
            f"adaptation_steps must be a whole number of at least 1, got {steps!r}. "
            "For a model without adaptation use Pooled or Transfer."
        )


def check_test_steps(steps: int | None) -> None:
    """Raise unless this is a number of steps, or None."""
    if not (steps is None or _is_count(steps)):
        raise ParameterError(
            "test_adaptation_steps must be a whole number of at least 1 or None, got "
            f"{steps!r}. None takes as many steps as in meta-training."
        )


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1
