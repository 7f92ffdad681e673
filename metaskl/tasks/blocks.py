"""Draws of many stacks of episodes at once, where all tasks are of one size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from metaskl.tasks.rows import SORT_UP_TO, IntArray
from metaskl.tasks.sending import sent
from metaskl.tasks.taskset import TaskSet, _gather

# A block is small beside the data, and long enough that drawing costs next to nothing a stack.
_MOST_BYTES, _MOST_STACKS = 2**20, 32


def is_even(tasks: TaskSet, usable: IntArray, n_tasks: int) -> bool:
    """Say whether stacks of `n_tasks` are all of one shape, and drawn by sorting keys."""
    sizes = tasks.sizes[usable]
    one_size = bool(sizes.min() == sizes.max())
    return one_size and n_tasks <= len(usable) and max(len(usable), sizes[0]) <= SORT_UP_TO


def draw_stacks(
    rng: np.random.Generator,
    tasks: TaskSet,
    usable: IntArray,
    shape: tuple[int, int],
    counts: tuple[int, int],
) -> Iterator[tuple[Tensor, ...]]:
    """Draw stacks of the supports and queries of tasks, by the same chance as one by one.

    Parameters
    ----------
    rng : Generator
        Source of chance.
    tasks : TaskSet
        What to draw from.
    usable : ndarray of int
        Numbers of the tasks to draw, which :func:`is_even`.
    shape : tuple of two int
        Stacks, and tasks in each.
    counts : tuple of two int
        Rows of the support and of the query.

    Yields
    ------
    tuple of Tensor
        The first six fields of an Episode.
    """
    n_stacks, n_tasks = shape
    stack = n_tasks * sum(counts) * (tasks.X[:1].nbytes + tasks.y[:1].nbytes)
    at_once = int(np.clip(_MOST_BYTES // max(stack, 1), 1, _MOST_STACKS))
    n_usable, size = len(usable), int(tasks.sizes[usable[0]])
    for start in range(0, n_stacks, at_once):
        n = min(at_once, n_stacks - start)
        keys = rng.random((n, n_usable + n_tasks * size))
        chosen = usable[keys[:, :n_usable].argsort(axis=1)[:, :n_tasks]]
        order = keys[:, n_usable:].reshape(n, n_tasks, size).argsort(axis=-1)[..., : sum(counts)]
        rows = tasks.offsets[chosen][..., None] + order
        parts: list[Tensor] = []
        for part in np.split(rows, [counts[0]], axis=-1):
            index = sent(part, tasks.X.device)
            parts += _gather(tasks.X, tasks.y, index, None)
        yield from zip(*parts, strict=True)
