"""Random draws of distinct rows from units of many sizes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
# Above this many rows a task, rows are drawn at random and only repeated ones drawn again,
# instead of sorting a key for every row.
SORT_UP_TO = 4096


def draw_rows(rng: np.random.Generator, sizes: IntArray, n_draw: int) -> IntArray:
    """Draw up to `n_draw` distinct numbers below each size, in random order.

    Where a size is below `n_draw` the surplus columns hold arbitrary valid numbers.
    """
    smallest, largest = int(sizes.min()), int(sizes.max())
    if largest <= max(SORT_UP_TO, 4 * n_draw):
        keys = rng.random((len(sizes), largest))
        if smallest < largest:
            keys[np.arange(largest) >= sizes[:, None]] = 2.0  # behind every real row
        order = keys.argsort(axis=1)[:, :n_draw]
        if smallest >= n_draw:
            return order
        if order.shape[1] < n_draw:
            order = np.pad(order, ((0, 0), (0, n_draw - order.shape[1])))
        valid: IntArray = np.where(order < sizes[:, None], order, 0)
        return valid
    small = sizes <= 4 * n_draw
    drawn: IntArray = rng.integers(0, sizes[:, None], size=(len(sizes), n_draw))
    for task in np.flatnonzero(small):
        perm = rng.permutation(int(sizes[task]))[:n_draw]
        drawn[task, : len(perm)] = perm
    ordered = np.sort(drawn, axis=1)
    repeated = ~small & (np.diff(ordered, axis=1) == 0).any(axis=1)
    for task in np.flatnonzero(repeated):
        drawn[task] = rng.choice(int(sizes[task]), size=n_draw, replace=False, shuffle=True)
    return drawn


def draw_units(rng: np.random.Generator, n_units: int, n_draw: int) -> IntArray:
    """Draw units, distinct ones as long as there are enough."""
    if n_draw <= n_units:
        distinct: IntArray = draw_rows(rng, np.array([n_units]), n_draw)[0]
        return distinct
    repeated: IntArray = rng.integers(n_units, size=n_draw)
    return repeated
