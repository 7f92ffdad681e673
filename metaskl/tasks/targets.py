"""Targets as they are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from metaskl.tasks.groups import are_missing


def require_values(y: Any) -> None:
    """Raise if targets are a text, as a column's name is, or some objects among them are missing.

    Raises
    ------
    ValueError
        It says how to take the column, or how many are missing.
    """
    if isinstance(y, str):
        raise ValueError(
            f"y must be an array of the targets of the rows, got the text {y!r}. If it names a "
            f"column, give the column and leave it out of X: X.drop(columns={y!r}), X[{y!r}]."
        )
    try:
        values = np.asarray(y)
    except ValueError:  # rows of unequal length, of which scikit-learn's checks say more
        return
    if values.dtype == object and values.ndim and (n := int(are_missing(values.ravel()).sum())):
        raise ValueError(
            f"Input y contains NaN: y must not hold missing values, got {n} of them. Drop those "
            "rows."
        )
