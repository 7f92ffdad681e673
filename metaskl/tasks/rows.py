"""Random draws of distinct rows from units of many sizes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
# Rows are drawn by sorting a key for every row, of up to so many rows a unit, a power of two
# (see sort_numbers), ...
_SORT_UP_TO = 4096
# ... but not of more in all, if few of many are drawn.
_MOST_KEYS = 2**14


def is_sorted(n_units: int, smallest: int, largest: int, n_draw: int) -> bool:
    """Say whether units are drawn from by sorting all their rows, and not by chance."""
    few = max(n_draw, 16) * n_draw <= smallest
    return largest <= max(_SORT_UP_TO, 4 * n_draw) and not (few and n_units * largest > _MOST_KEYS)


def draw_rows(rng: np.random.Generator, sizes: IntArray, n_draw: int) -> IntArray:
    """Draw up to `n_draw` distinct numbers below each size, in random order.

    Where a size is below `n_draw` the surplus columns hold arbitrary valid numbers.
    """
    smallest, largest = int(sizes.min()), int(sizes.max())
    if not is_sorted(len(sizes), smallest, largest, n_draw):
        return _drawn_by_chance(rng, sizes, n_draw)
    keys = rng.random((len(sizes), largest))
    if smallest < largest:  # behind every real row
        np.putmask(keys, np.arange(largest) >= sizes[:, None], 2.0)
    order = sort_numbers(keys)[:, :n_draw]
    if smallest >= n_draw:
        return order
    if order.shape[1] < n_draw:
        order = np.pad(order, ((0, 0), (0, n_draw - order.shape[1])))
    valid: IntArray = np.minimum(order, sizes[:, None] - 1)
    return valid


def sort_numbers(keys: npt.NDArray[np.float64]) -> IntArray:
    """Return the numbers of the last axis in the order of their keys, which are lost.

    The bits of numbers that are not negative ascend as they do. With its number in the last bits
    of a key it is values that are sorted, in half the time of sorting where they are.
    """
    n_keys = keys.shape[-1]
    if n_keys > _SORT_UP_TO:
        return keys.argsort(axis=-1)
    bits = keys.view(np.int64)
    bits &= -_SORT_UP_TO
    bits |= np.arange(n_keys)
    bits.sort(axis=-1)
    bits &= _SORT_UP_TO - 1
    return bits


def _drawn_by_chance(rng: np.random.Generator, sizes: IntArray, n_draw: int) -> IntArray:
    """Draw numbers that may repeat, and draw anew what does."""
    drawn = _with_repetition(rng, sizes, n_draw)
    left = np.flatnonzero(sizes > 4 * n_draw)
    for unit in np.flatnonzero(sizes <= 4 * n_draw):
        own = rng.permutation(int(sizes[unit]))[:n_draw]
        drawn[unit, : len(own)] = own
    while True:
        ordered = np.sort(drawn[left], axis=1)
        left = left[(ordered[:, 1:] == ordered[:, :-1]).any(axis=1)]
        if not len(left):
            return drawn
        # All numbers of a unit, so that every set and order of them stays as likely.
        many = n_draw**2 > sizes[left]
        for unit in left[many]:
            drawn[unit] = rng.choice(int(sizes[unit]), size=n_draw, replace=False)
        few = left[~many]
        drawn[few] = _with_repetition(rng, sizes[few], n_draw)


def _with_repetition(rng: np.random.Generator, sizes: IntArray, n_draw: int) -> IntArray:
    # numpy's own draws of whole numbers below bounds of their own take three times as long.
    return (rng.random((len(sizes), n_draw)) * sizes[:, None]).astype(np.int64)


def draw_units(rng: np.random.Generator, n_units: int, n_draw: int) -> IntArray:
    """Draw units, distinct ones as long as there are enough."""
    if n_draw <= n_units:
        distinct: IntArray = draw_rows(rng, np.array([n_units]), n_draw)[0]
        return distinct
    repeated: IntArray = rng.integers(n_units, size=n_draw)
    return repeated
