"""Folds over tasks, or over the rows of tasks that are all seen, with their draws."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, check_cv

from metaskl.errors import TaskError
from metaskl.evaluation.draws import (
    Draw,
    Ways,
    check_count,
    check_n_shot,
    draw_classes,
    draw_rows,
    fewest_ways,
    largest_support,
)

Array = npt.NDArray[Any]


class Fold:
    """Rows to fit on, and draws to score, of one fold."""

    def __init__(
        self, number: int, train: Array, draws: list[Draw], *, seen: bool, grouped: bool = True
    ) -> None:
        self.number = number
        self.train = train
        self.draws = draws
        self.seen = seen  # whether the supports are the rows of the fit
        self.grouped = grouped  # whether the tasks were given, or are sets of classes

    def told(self, ids: Array) -> Array | None:
        """Return the task ids that a fit is told: of sets of classes none, but one pool."""
        return ids if self.grouped else None


def make_folds(
    y: Any,
    ids: Array,
    *,
    n_way: Ways | None,
    n_shot: Any,
    n_repeats: int,
    cv: Any,
    holdout: str,
    random_state: int,
    grouped: bool = True,
) -> list[Fold]:
    """Split tasks (or rows) into folds with their draws."""
    if holdout not in ("tasks", "rows"):
        raise TaskError(
            f"holdout must be 'tasks' (whole tasks are held out) or 'rows' (every task is seen), "
            f"got {holdout!r}."
        )
    if holdout == "rows" and not grouped:
        raise TaskError(
            "holdout must be 'tasks' where there are no groups, got 'rows': what is new then are "
            "classes. Leave it out."
        )
    shots = check_n_shot(n_shot, fractions=holdout == "rows")
    check_count("n_repeats", n_repeats)
    check_count("random_state", random_state, 0)
    if len(y) != len(ids):
        raise TaskError(
            f"y must have one target for each of the {len(ids)} rows of X, got {len(y)}. Take both "
            "from the same table, after the same filtering."
        )
    if n_way is not None:
        fewest_ways(n_way)
    _check_cv(cv, len(np.unique(ids)), holdout, units(grouped=grouped))
    if holdout == "rows":
        folds = _row_folds(ids, shots, cv, random_state)
    else:
        inside = _task_folds(np.asarray(y), ids, shots, n_way, n_repeats, cv, random_state)
        folds = [Fold(*fold, seen=False, grouped=grouped) for fold in inside]
    if not folds:
        if n_way is not None and _one_class_each(y, ids):
            raise TaskError(
                "groups must hold several classes each, of which an episode draws "
                f"n_way={n_way}, got one class a group only: they name the class itself. Give "
                "groups of related classes (alphabets of characters, domains of intents), or "
                "none: then the classes are dealt out into sets."
            )
        raise TaskError(
            f"tasks must be larger than the shot count, got n_shot={shots}, but "
            f"{too_small(y, ids, max(shots), n_way)}. {_advice(y, ids, shots, n_way)}"
        )
    return folds


def shots_left_out(
    folds: list[Fold], y: Any, ids: Array, n_shot: Any, n_way: Ways | None
) -> dict[int | float, str]:
    """Return the shot counts that no task is large enough for, each with the reason."""
    drawn = {draw.n_shot for fold in folds for draw in fold.draws}
    shots = dict.fromkeys(check_n_shot(n_shot, fractions=True))
    return {k: too_small(y, ids, k, n_way) for k in shots if k not in drawn}


def _advice(y: Any, ids: Array, shots: tuple[int | float, ...], n_way: Ways | None) -> str:
    """Say what to lower, and how far, so that something can be drawn."""
    if n_way is None:
        most = largest_support(int(np.unique(ids, return_counts=True)[1].max()))
        return f"Lower n_shot to {most} at most." if most else "Give tasks of two rows or more."
    pairs = set(zip(np.asarray(ids).tolist(), np.asarray(y).tolist(), strict=True))
    n_classes = Counter(task for task, _ in pairs).most_common(1)[0][1]
    if n_classes < fewest_ways(n_way):
        return f"Lower n_way: no task has more than {n_classes} classes."
    if shots == (1,):
        return "Bring a second row of more classes, or lower n_way."
    return "Lower n_shot."


def too_small(y: Any, ids: Array, n_shot: int | float, n_way: Ways | None) -> str:
    """Say why no task could be split into support and query."""
    if n_way is not None:
        return f"no task has {fewest_ways(n_way)} classes of more than {n_shot} rows each"
    largest = np.unique(ids, return_counts=True)[1].max()
    return (
        f"no task is large enough (the largest has {largest} rows, of which a quarter is kept "
        "to be predicted)"
    )


def _one_class_each(y: Any, ids: Array) -> bool:
    """Say whether no task has two classes."""
    pairs = {*zip(np.asarray(ids).tolist(), np.asarray(y).tolist(), strict=True)}
    return len(pairs) == len(np.unique(ids))


def units(*, grouped: bool) -> str:
    """Return what is held out, in words."""
    return "tasks" if grouped else "sets of classes"


def _check_cv(cv: Any, n_tasks: int, holdout: str, held_out: str = "tasks") -> None:
    """Refuse what cannot split these tasks."""
    number = isinstance(cv, (int, np.integer)) and not isinstance(cv, bool)
    splitter = hasattr(cv, "split") and not isinstance(cv, str)
    if n_tasks < 2:
        raise TaskError(f"groups must hold at least 2 tasks, got {n_tasks}. Bring more tasks.")
    if holdout == "rows" and splitter:
        raise TaskError(
            f"cv must be a number of random splits with holdout='rows', got {cv!r}: there no task "
            "is held out, and n_shot says how many rows of each task are for training. Give a "
            "number such as cv=5, or use holdout='tasks'."
        )
    if not number:
        if holdout == "tasks" and (splitter or isinstance(cv, list)):
            return
        raise TaskError(
            f"cv must be a number of folds or a scikit-learn splitter over groups, got {cv!r}. "
            "Give for example cv=5 or cv=GroupKFold(5)."
        )
    if holdout == "rows" and cv < 1:
        raise TaskError(f"cv must be at least 1 with holdout='rows', got cv={cv}.")
    if holdout == "tasks" and not 2 <= cv <= n_tasks:
        raise TaskError(
            f"cv must be from 2 to the number of {held_out}, got cv={cv} for {n_tasks} "
            f"{held_out}. Lower cv, or bring more {held_out.rpartition(' ')[2]}."
        )


def split_tasks(
    y: Array, ids: Array, cv: Any, random_state: int = 0, *, grouped: bool = True
) -> list[tuple[Array, Array]]:
    """Return training and test rows of each fold, which share no task.

    Raises
    ------
    TaskError
        If `cv` does not fit the tasks, or tears one apart.
    """
    _check_cv(cv, len(np.unique(ids)), "tasks", units(grouped=grouped))
    return list(_splits(y, ids, cv, random_state))


def _splits(y: Array, ids: Array, cv: Any, random_state: int) -> Iterator[tuple[Array, Array]]:
    """Yield training and test rows that share no task."""
    number = isinstance(cv, (int, np.integer))
    splitter = GroupKFold(int(cv), shuffle=True, random_state=random_state) if number else cv
    with warnings.catch_warnings():  # of a splitter that ignores groups, more is said below
        warnings.filterwarnings("ignore", message="The groups parameter is ignored")
        pairs = list(check_cv(splitter).split(np.zeros(len(ids)), y, groups=ids))
    for train, test in pairs:
        torn = np.intersect1d(ids[train], ids[test])
        if len(torn):
            raise TaskError(
                f"cv must keep each task whole, got {cv!r}, which puts rows of the task "
                f"{torn.tolist()[0]!r} both into training and test. Use a splitter over groups: "
                "GroupKFold, GroupShuffleSplit, LeaveOneGroupOut; or holdout='rows'."
            )
        yield train, test


def _task_folds(
    y: Array,
    ids: Array,
    shots: tuple[int | float, ...],
    n_way: Ways | None,
    n_repeats: int,
    cv: Any,
    random_state: int,
) -> list[tuple[int, Array, list[Draw]]]:
    """Hold out whole tasks: return each fold's number, its training rows and its draws."""
    if n_way is not None:
        draws = draw_classes(
            y, ids, shots, n_way=n_way, n_repeats=n_repeats, random_state=random_state
        )
    else:
        draws = draw_rows(ids, shots, n_repeats=n_repeats, random_state=random_state)
    folds = []
    for number, (train, test) in enumerate(_splits(y, ids, cv, random_state)):
        held_out = set(np.unique(ids[test]).tolist())
        inside = [draw for draw in draws if draw.task in held_out]
        if inside:
            folds.append((number, train, inside))
    return folds


def _row_folds(
    ids: Array, shots: tuple[int | float, ...], n_splits: int, random_state: int
) -> list[Fold]:
    """Split the rows of every task: one fit for each split and shot count."""
    folds = []
    for split in range(n_splits):
        draws = draw_rows(ids, shots, n_repeats=1, random_state=random_state + split)
        for shot in shots:
            chosen = [draw for draw in draws if draw.n_shot == shot]
            if chosen:
                train = np.concatenate([draw.support for draw in chosen])
                folds.append(Fold(split, train, chosen, seen=True))
    return folds
