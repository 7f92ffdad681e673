"""Draws of many stacks of episodes at once, where all tasks are of one size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from metaskl.tasks.rows import IntArray, is_sorted, sort_numbers
from metaskl.tasks.sending import sent
from metaskl.tasks.taskset import TaskSet, _gather

# A block is small beside the data, and long enough that drawing costs next to nothing a stack.
_MOST_BYTES, _MOST_STACKS = 2**20, 32


def is_even(tasks: TaskSet, usable: IntArray, n_tasks: int, n_rows: int) -> bool:
    """Say whether stacks of `n_tasks` are all of one shape, and drawn by sorting keys."""
    sizes, n_usable = tasks.sizes[usable], len(usable)
    size = int(sizes[0])
    if sizes.min() != sizes.max() or n_tasks > n_usable:
        return False
    rows_sorted = is_sorted(n_tasks, size, size, min(n_rows, size))
    return rows_sorted and is_sorted(1, n_usable, n_usable, n_tasks)


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
        chosen = usable[sort_numbers(keys[:, :n_usable])[:, :n_tasks]]
        order = sort_numbers(keys[:, n_usable:].reshape(n, n_tasks, size))[..., : sum(counts)]
        rows = tasks.offsets[chosen][..., None] + order
        parts: list[Tensor] = []
        for part in np.split(rows, [counts[0]], axis=-1):
            index = sent(part, tasks.X.device)
            parts += _gather(tasks.X, tasks.y, index, None)
        yield from zip(*parts, strict=True)
