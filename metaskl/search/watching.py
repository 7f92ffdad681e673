"""What ends a trial from inside: its time, its memory, or a pruner after an epoch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.base import clone

from metaskl.estimators.base import BaseMetaEstimator
from metaskl.training import AfterEpoch

_VALIDATION_FRACTION = 0.2


class OutOfTime(Exception):
    """The time budget ended while a trial was running."""


class PrunedByEpoch(Exception):
    """A pruner ended a trial after an epoch."""


class Watch:
    """Look at the clock and the memory between two pieces of a trial's work.

    Parameters
    ----------
    seconds : float or None
        How long the trial may still take.
    memory : int or None
        Bytes that its process may hold.
    """

    def __init__(self, seconds: float | None, memory: int | None) -> None:
        self.end = None if seconds is None else time.monotonic() + seconds
        self.memory = memory

    def look(self) -> None:
        """Raise if the time is over or the memory beyond its limit."""
        if self.end is not None and time.monotonic() >= self.end:
            raise OutOfTime
        held = memory_held() if self.memory is not None else 0
        if self.memory is not None and held > self.memory:
            raise MemoryError(
                f"the trial's process holds {held / 2**20:.0f} MiB, more than memory_budget="
                f"{self.memory / 2**20:.0f} MiB"
            )


def memory_held() -> int:
    """Return the bytes of memory that this process holds, or once held where only that is known."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def after_each_epoch(estimator: Any, told: Callable[[Any], None]) -> Any:
    """Let every meta-learner inside an estimator tell how far its training is."""
    for meta in _meta_learners(estimator):
        meta.set_params(callbacks=[*(meta.callbacks or []), AfterEpoch(told)])
    return estimator


def scale_epochs(estimator: Any, fraction: float) -> Any:
    """Shorten the training of every meta-learner inside an estimator."""
    for meta in _meta_learners(estimator):
        meta.set_params(max_epochs=max(1, round(fraction * meta.max_epochs)))
    return estimator


def hold_out_tasks(estimator: Any) -> Any:
    """Return a copy whose meta-learners keep tasks for meta-validation, if they did not yet."""
    estimator = clone(estimator)
    for meta in _meta_learners(estimator):
        meta.set_params(validation_fraction=meta.validation_fraction or _VALIDATION_FRACTION)
    return estimator


def _meta_learners(estimator: Any) -> list[BaseMetaEstimator]:
    every = [estimator, *estimator.get_params().values()]
    return [inner for inner in every if isinstance(inner, BaseMetaEstimator)]
