"""Samples of search spaces: the limits, and seeded draws between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metaskl.learners.space import Choice, Dimension, Integer


def samples(
    space: Mapping[str, Dimension], *, n_draws: int = 4, seed: int = 0
) -> list[dict[str, Any]]:
    """Return hyper-parameters from a search space.

    Parameters
    ----------
    space : mapping of str to Dimension
        The search space.
    n_draws : int, default=4
        Random draws, in addition to every limit and every option on its own.
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    list of dict
        Values by name.
    """
    rng = np.random.default_rng(seed)
    alone = [{name: value} for name, dimension in space.items() for value in _edges(dimension)]
    together = [{name: _draw(d, rng) for name, d in space.items()} for _ in range(n_draws)]
    return alone + together if space else []


def _edges(dimension: Dimension) -> tuple[Any, ...]:
    if isinstance(dimension, Choice):
        return dimension.options
    return dimension.low, dimension.high


def _draw(dimension: Dimension, rng: np.random.Generator) -> Any:
    if isinstance(dimension, Choice):
        return dimension.options[int(rng.integers(len(dimension.options)))]
    if isinstance(dimension, Integer):
        return int(rng.integers(dimension.low, dimension.high + 1))
    if dimension.log:
        return float(np.exp(rng.uniform(np.log(dimension.low), np.log(dimension.high))))
    return float(rng.uniform(dimension.low, dimension.high))
