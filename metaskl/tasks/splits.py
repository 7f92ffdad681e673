"""Splits of tasks into meta-training, meta-validation and meta-test tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from metaskl.errors import TaskError


def split_tasks(
    groups: Any,
    *,
    validation: float | int = 0.0,
    test: float | int = 0.0,
    random_state: int | np.random.Generator | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split rows so that no task is on two sides.

    Parameters
    ----------
    groups : array-like of shape (n_rows,)
        Task ids.
    validation, test : float or int, default=0.0
        Fraction of the tasks in [0, 1) (at least one task when it is above 0), or
        their number.
    random_state : int, numpy Generator or None, default=None
        Seed of the draw.

    Returns
    -------
    train, validation, test : ndarray of int
        Row numbers of each side, in ascending order.

    Raises
    ------
    TaskError
        If fewer than one task is left for meta-training.

    Examples
    --------
    >>> from metaskl.tasks import split_tasks
    >>> train, _, test = split_tasks(["a", "a", "b", "c"], test=1, random_state=0)
    >>> len(train) + len(test)
    4
    """
    task_ids, number = np.unique(np.asarray(groups), return_inverse=True)
    n_validation, n_test = (_count(part, len(task_ids)) for part in (validation, test))
    if n_validation + n_test >= len(task_ids):
        raise TaskError(
            f"validation and test must leave at least one of the {len(task_ids)} tasks for "
            f"meta-training, got {n_validation} and {n_test} tasks. Lower them."
        )
    order = np.random.default_rng(random_state).permutation(len(task_ids))
    sides = np.zeros(len(task_ids), dtype=np.int64)
    sides[order[:n_test]] = 2
    sides[order[n_test : n_test + n_validation]] = 1
    row_side = sides[number]
    return (
        np.flatnonzero(row_side == 0),
        np.flatnonzero(row_side == 1),
        np.flatnonzero(row_side == 2),
    )


def _count(part: float | int, n_tasks: int) -> int:
    """Return a number of tasks from a fraction or a number."""
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool) and part >= 0:
        return int(part)
    if isinstance(part, float) and 0 <= part < 1:
        return max(1, round(part * n_tasks)) if part > 0 else 0
    raise TaskError(
        f"validation and test must be a fraction in [0, 1) or a number of tasks, got {part!r}. "
        "For one fifth of the tasks give 0.2."
    )
