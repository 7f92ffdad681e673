"""Tasks for classes that come without any: a pool of classes is dealt out into sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from metaskl.errors import TaskError
from metaskl.evaluation.draws import Ways, check_count, check_n_shot, fewest_ways
from metaskl.tasks import require_groups
from metaskl.tasks.groups import n_rows

Array = npt.NDArray[Any]

_POOL = (
    " Only where new tasks bring classes of their own may they be left out: set "
    "label_space='task', or n_way for a model of a task's own rows."
)


def tasks_to_score(
    X: Any, y: Array, groups: Any, *, n_way: Ways | None, n_shot: Any, random_state: int
) -> tuple[Any, Array, bool]:
    """Return the features, the task ids to hold out and score by, and whether they were given.

    Classes of each task's own need no groups: without them the classes are one pool, which is
    dealt out (:func:`class_sets`).

    Raises
    ------
    ValueError
        If the task ids do not fit, or the pool is too small.
    """
    if groups is not None or n_way is None:
        return *require_groups(X, groups, hint=_POOL), True
    require_a_target_each(X, y)
    return X, class_sets(y, n_way=n_way, n_shot=n_shot, random_state=random_state), False


def require_a_target_each(X: Any, y: Array) -> None:
    """Raise unless there is one target for each row.

    Raises
    ------
    TaskError
        It says how many there are.
    """
    n_targets = len(y) if y.ndim else 0
    if n_targets != n_rows(X):
        raise TaskError(
            f"y must have one target for each of the {n_rows(X)} rows of X, got {n_targets}. Take "
            "both from the same table, after the same filtering."
        )


def class_sets(
    y: Any, *, n_way: Ways, n_shot: Any, random_state: int = 0, least: int = 2
) -> npt.NDArray[np.int64]:
    """Deal the classes of a pool out at random into sets of `n_way`: each set is a task.

    These are the sets of :func:`~metaskl.compare` and its like without `groups`, by the same
    settings, and the numbers in their column ``task``.

    Those that have a row to spare at the largest shot count at which `n_way` classes have one
    are dealt out first, then those that have one at the smallest, so that scarce classes spoil
    few sets. What is left over, too scarce or too few for a set, is put to the last.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Classes.
    n_way : int
        Classes of a set, >= 2.
    n_shot : int or sequence of int
        Rows of each class that will be labelled, >= 1.
    random_state : int, default=0
        Seed, >= 0.
    least : int, default=2
        How many sets there must be, >= 1.

    Returns
    -------
    ndarray of shape (n_rows,)
        The number of the set that each row's class is in.

    Raises
    ------
    TaskError
        If there are fewer sets, or a setting is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from metaskl.evaluation import class_sets
    >>> y = np.repeat(["ant", "bee", "cat", "dog", "elk"], 3)
    >>> np.unique(class_sets(y, n_way=2, n_shot=1), return_counts=True)[1].tolist()
    [6, 9]
    """
    fewest_ways(n_way)
    shots = check_n_shot(n_shot, fractions=False)
    check_count("random_state", random_state, 0)
    if isinstance(n_way, str):
        raise TaskError(
            "n_way must be a number of classes where there are no groups, got 'all': the classes "
            "are dealt out into sets of n_way. Give a number, or groups of related classes."
        )
    classes, of_row, sizes = np.unique(y, return_inverse=True, return_counts=True)
    usable = sizes > min(shots)
    n_sets = int(usable.sum()) // n_way
    if n_sets < least:
        raise TaskError(
            f"y must hold at least {least} * n_way = {least * n_way} classes of more than "
            f"n_shot={min(shots)} rows where there are no groups, got {int(usable.sum())}: the "
            "classes are dealt out into sets of n_way. Lower n_way or n_shot, or bring more."
        )
    most = max(k for k in shots if (sizes > k).sum() >= n_way)
    mixed = np.random.default_rng(random_state).permutation(len(classes))
    rank = usable.astype(int) + (sizes > most)
    order = mixed[np.argsort(-rank[mixed], kind="stable")]
    number = np.empty(len(classes), np.int64)
    number[order] = np.minimum(np.arange(len(classes)) // n_way, n_sets - 1)
    found: npt.NDArray[np.int64] = number[of_row.reshape(-1)]
    return found
