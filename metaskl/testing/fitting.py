"""Fitting an estimator for its laws."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone

from metaskl.errors import NotAdaptedError
from metaskl.estimators.adapt import adapt
from metaskl.testing.comparing import alike
from metaskl.testing.tables import TaskTable


def has_private_labels(estimator: Any) -> bool:
    """Say whether the classes are private to each task."""
    return getattr(estimator, "label_space", "shared") == "task"


def seeded(estimator: Any) -> Any:
    """Return a clone with a fixed random state, if it has one."""
    own = clone(estimator)
    return own.set_params(random_state=0) if "random_state" in own.get_params() else own


def fit(estimator: Any, table: TaskTable) -> Any:
    """Fit a clone on the table."""
    return seeded(estimator).fit(table.X, table.y, groups=table.groups)


def adapted_prediction(estimator: Any, table: TaskTable, groups: Any) -> Any:
    """Fit with these task ids, adapt to the first new task, and predict its query."""
    fitted = seeded(estimator).fit(table.X, table.y, groups=groups)
    return fitted.adapt(*table.support(0)).predict(table.X_query)


def methods(estimator: Any) -> list[str]:
    """Return the names of the methods that predict."""
    return [name for name in ("predict", "predict_proba") if hasattr(estimator, name)]


def predictions(estimator: Any, table: TaskTable) -> dict[str, Any]:
    """Predict by every method; where classes are private, what a copy adapted to a support says."""

    def said(model: Any) -> dict[str, Any]:
        return {name: getattr(model, name)(table.X_query) for name in methods(model)}

    try:
        return said(estimator)
    except NotAdaptedError as error:
        return {"refused": str(error)} | said(adapt(estimator, *table.support(0)))


def agree(found: Any, expected: Any, estimator: Any) -> bool:
    """Say whether predictions agree: bit by bit for a meta-learner, else but for rounding.

    Ordinary estimators call matrix products that round by the number of rows.
    """
    if hasattr(estimator, "net_") or expected.dtype.kind != "f":
        return alike(found, expected)
    return bool(np.allclose(found, expected, rtol=1e-9, atol=1e-9))


def frame_of(X: Any) -> pd.DataFrame:
    """Return features as a data frame with text names."""
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


@contextmanager
def untouched_process(what: str) -> Iterator[None]:
    """Raise an AssertionError if the block leaves the process's settings changed."""

    def state() -> dict[str, Any]:
        numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002 - it is what must not change
        return {
            "torch's random state": torch.get_rng_state(),
            "NumPy's random state": numpy_state,
            "Python's random state": random.getstate(),
            "torch's threads": torch.get_num_threads(),
        }

    before = state()
    yield
    after = state()
    changed = [name for name in before if not alike(before[name], after[name])]
    assert not changed, f"{what} changed {changed}"
