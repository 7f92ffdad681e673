"""Draws of support and query rows: the same ones for every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metaskl.errors import TaskError

Rows = npt.NDArray[np.int64]
# The number of classes of an episode, or "all" of the task's.
Ways = int | str
# At least this part of a task's rows is kept to be predicted.
_QUERY_PART = 0.25


@dataclass(frozen=True)
class Draw:
    """One task's support and query.

    Attributes
    ----------
    task : object
        The task's id.
    repeat : int
        Number of the repetition.
    n_shot : int or float
        What was asked for: labelled rows, or a fraction of the task's.
    support, query : ndarray of int
        Row numbers.
    """

    task: Any
    repeat: int
    n_shot: int | float
    support: Rows
    query: Rows


def largest_support(n_rows: int) -> int:
    """Return how many rows of a task may be labelled, so that enough are left to be predicted."""
    return n_rows - max(1, int(np.ceil(_QUERY_PART * n_rows)))


def check_n_shot(n_shot: Any, *, fractions: bool) -> tuple[int | float, ...]:
    """Return the shot counts as a tuple, each once.

    Raises
    ------
    TaskError
        If one is not a positive whole number (or, where allowed, a fraction below 1).
    """
    several = isinstance(n_shot, Sequence) and not isinstance(n_shot, str)
    values: tuple[Any, ...] = tuple(n_shot if several else np.atleast_1d(n_shot).tolist())
    for value in values:
        whole = _is_whole(value) and value >= 1
        part = fractions and isinstance(value, float) and 0 < value < 1
        if not (whole or part):
            also = ", or a fraction between 0 and 1" if fractions else ""
            raise TaskError(
                f"n_shot must hold numbers of labelled rows, at least 1{also}, got {value!r}. "
                "Give for example n_shot=(5, 10, 20)."
            )
    if not values:
        raise TaskError("n_shot must hold at least one number, got none. Give n_shot=(5, 10, 20).")
    return tuple(dict.fromkeys(float(v) if isinstance(v, float) else int(v) for v in values))


def check_count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number that is large enough.

    Raises
    ------
    TaskError
        If it is none, or below `least`.
    """
    if not _is_whole(value) or value < least:
        raise TaskError(f"{name} must be a whole number, at least {least}, got {value!r}.")
    return int(value)


def fewest_ways(n_way: Ways) -> int:
    """Return the least number of classes of an episode.

    Raises
    ------
    TaskError
        If `n_way` is neither a whole number, at least 2, nor "all".
    """
    if isinstance(n_way, str):
        if n_way != "all":
            raise TaskError(f"n_way must be a number of classes or 'all', got {n_way!r}.")
        return 2
    return check_count("n_way", n_way, 2)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def draw_rows(
    groups: npt.NDArray[Any],
    n_shot: tuple[int | float, ...],
    *,
    n_repeats: int,
    random_state: int,
) -> list[Draw]:
    """Draw supports and queries of every task, at every shot count.

    Supports are in random order, as in meta-training: some learners read them as a sequence.
    Within a repetition a task's query is the same at every shot count and a smaller support
    is part of a larger one, so that a curve over shots is not moved by the draws. A quarter of
    a task's rows at least is query; a task too small for a shot count is left out there. The
    draws depend on the task's id and not on the other tasks.

    Parameters
    ----------
    groups : ndarray of shape (n_rows,)
        Task ids.
    n_shot : tuple of int or float
        Labelled rows, or fractions of a task's rows.
    n_repeats : int
        Repetitions.
    random_state : int
        Seed.

    Returns
    -------
    list of Draw
        Ordered by task, repetition and shot count.
    """
    draws = []
    for task, rows in rows_of_tasks(groups):
        n_rows = len(rows)
        # Rounded down, so that with the reserve, rounded up, a fraction of 0.75 fits every task.
        counts = [k if isinstance(k, int) else max(1, int(k * n_rows)) for k in n_shot]
        fitting = [k for k in counts if k <= largest_support(n_rows)]
        if not fitting:
            continue
        first_query = max(fitting)
        for repeat in range(n_repeats):
            order = np.random.default_rng(_seed(random_state, repeat, task)).permutation(rows)
            query = np.sort(order[first_query:])
            draws += [
                Draw(task, repeat, asked, order[:k], query)
                for asked, k in zip(n_shot, counts, strict=True)
                if k <= first_query
            ]
    return draws


def draw_classes(
    y: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    n_shot: tuple[int | float, ...],
    *,
    n_way: Ways,
    n_repeats: int,
    random_state: int,
) -> list[Draw]:
    """Draw n-way episodes of every task: `n_way` of its classes, `n_shot` rows of each.

    As in :func:`draw_rows` a task is left out at the shot counts that it is too small for:
    those at which fewer than `n_way` of its classes have a row to spare. Of ``"all"`` classes,
    those that have none are left out, and two must be left.
    """
    least = fewest_ways(n_way)
    draws = []
    for task, inside in rows_of_tasks(groups):
        classes, sizes = np.unique(y[inside], return_counts=True)
        fitting = [int(k) for k in n_shot if (sizes > k).sum() >= least]
        if not fitting:
            continue
        most = max(fitting)
        classes = classes[sizes > most]
        for repeat in range(n_repeats):
            rng = np.random.default_rng(_seed(random_state, repeat, task))
            chosen = classes
            if not isinstance(n_way, str):
                chosen = rng.choice(classes, n_way, replace=False)
            orders = [rng.permutation(inside[y[inside] == label]) for label in chosen]
            query = np.concatenate([order[most:] for order in orders])
            draws += [
                Draw(
                    task, repeat, k, rng.permutation(np.concatenate([o[:k] for o in orders])), query
                )
                for k in map(int, n_shot)
                if k in fitting
            ]
    return draws


def rows_of_tasks(groups: npt.NDArray[Any]) -> list[tuple[Any, Rows]]:
    """Return each task's id and row numbers."""
    names, number = np.unique(groups, return_inverse=True)
    order = np.argsort(number, kind="stable").astype(np.int64)
    parts = np.split(order, np.cumsum(np.bincount(number))[:-1])
    return list(zip(names.tolist(), parts, strict=True))


def _seed(random_state: int, repeat: int, task: Any) -> list[int]:
    """Return a seed from the id's text: Python's own hash changes from run to run."""
    return [random_state, repeat, *str(task).encode()]
