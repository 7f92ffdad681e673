"""Every private or experimental import, and every process-wide switch, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# The base of all searches, HalvingGridSearchCV among them, has no public name.
from sklearn.model_selection._search import BaseSearchCV as BaseSearchCV
from threadpoolctl import threadpool_limits


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Limit torch's CPU threads for a while; None leaves them as they are.

    Two threads on busy cores were measured 20 times slower than one on the small matrices
    of meta-learning, so the library runs on one unless told otherwise.
    """
    found = torch.get_num_threads()
    if n_threads is None or n_threads == found:
        yield
        return
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(found)


# From so many rows on, more threads may pay for themselves.
_MANY_ROWS = 10_000


@contextmanager
def threads_for(n_rows: int) -> Iterator[None]:
    """Keep native code (OpenMP, BLAS) to one thread for a while, unless the rows are many.

    A team of threads that is woken hundreds of times for a few rows costs more than it brings:
    histogram gradient boosting on tasks of ten rows took over a hundred times longer on two
    busy cores than on one.
    """
    if n_rows >= _MANY_ROWS:
        yield
        return
    with threadpool_limits(limits=1):
        yield
