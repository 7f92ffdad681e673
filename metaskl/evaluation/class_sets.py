"""Tasks for classes that come without any: a pool of classes is dealt out into sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from metaskl.errors import TaskError
from metaskl.evaluation.draws import Ways, fewest_ways
from metaskl.tasks import require_groups

Array = npt.NDArray[Any]


def tasks_to_score(
    X: Any, y: Array, groups: Any, *, n_way: Ways | None, random_state: int
) -> tuple[Any, Array, bool]:
    """Return the features, the task ids to hold out and score by, and whether they were given.

    Classes of each task's own need no groups: without them the classes are one pool, which is
    dealt out (:func:`class_sets`).

    Raises
    ------
    ValueError
        If the task ids do not fit, or the pool is too small.
    """
    if groups is None and n_way is not None:
        return X, class_sets(y, n_way=n_way, random_state=random_state), False
    return *require_groups(X, groups), True


def class_sets(y: Array, *, n_way: Ways, random_state: int = 0) -> npt.NDArray[np.int64]:
    """Deal the classes of a pool out at random into sets of `n_way`: each set is a task.

    Classes with like numbers of rows come together, so that scarce ones spoil few sets. What is
    left over, fewer than `n_way` classes, is put to the last set.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Classes.
    n_way : int
        Classes of a set, >= 2.
    random_state : int, default=0
        Seed.

    Returns
    -------
    ndarray of shape (n_rows,)
        The number of the set that each row's class is in.

    Raises
    ------
    TaskError
        If there are no two sets, or `n_way` is "all".
    """
    fewest_ways(n_way)
    if isinstance(n_way, str):
        raise TaskError(
            "n_way must be a number of classes where there are no groups, got 'all': the classes "
            "are dealt out into sets of n_way. Give a number, or groups of related classes."
        )
    classes, of_row, sizes = np.unique(y, return_inverse=True, return_counts=True)
    if len(classes) < 2 * n_way:
        raise TaskError(
            f"y must hold at least 2 * n_way = {2 * n_way} classes where there are no groups, got "
            f"{len(classes)}: the classes are dealt out into sets of n_way, some of which are "
            "held out. Lower n_way, or bring more classes."
        )
    mixed = np.random.default_rng(random_state).permutation(len(classes))
    order = mixed[np.argsort(-sizes[mixed], kind="stable")]
    number = np.empty(len(classes), np.int64)
    number[order] = np.minimum(np.arange(len(classes)) // n_way, len(classes) // n_way - 1)
    return number[of_row.reshape(-1)]
