"""Targets as they are given."""

from __future__ import annotations

from datetime import date, time, timedelta
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from metaskl.tasks.groups import are_missing


def require_values(y: Any) -> None:
    """Raise if targets are a text, as a column's name is, times, mixed, or some are missing.

    Raises
    ------
    ValueError
        It says how to take the column, how many are missing, or what else to give.
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
    if not values.ndim:
        return
    if n := int(are_missing(values.ravel()).sum()):
        raise ValueError(
            f"Input y contains NaN: y must not hold missing values, got {n} of them. Drop those "
            "rows."
        )
    if are_times(values):
        raise ValueError(
            "y must hold numbers or classes, got dates or times. Turn them into numbers, for "
            "example (y - y.min()) / pandas.Timedelta('1D'), or, as classes, into text."
        )
    if values.dtype == object:
        _require_one_kind(values.ravel().tolist())


def are_times(values: npt.NDArray[Any]) -> bool:
    """Say whether values are dates, times or their differences, by the first there is."""
    values = values.ravel()
    if values.dtype.kind != "O":
        return values.dtype.kind in "mM"
    first = values[~are_missing(values)][:1].tolist()
    return bool(first) and isinstance(first[0], date | time | timedelta)


def _require_one_kind(values: list[Any]) -> None:
    """Raise if there is text among numbers, which cannot be sorted into classes."""
    text = next((value for value in values if isinstance(value, str)), None)
    number = next((value for value in values if isinstance(value, Real)), None)
    if text is not None and number is not None:
        raise ValueError(
            f"y must hold either text or numbers, got both, such as {text!r} and {number!r}. "
            "Classes as text are y.astype(str)."
        )
