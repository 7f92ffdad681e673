"""Which sampled values the error of a trial may come from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def reason_of(error: Exception, candidate: str, values: Mapping[str, Any]) -> str:
    """Return why a trial failed; where a value was refused, with its place in the search space.

    Parameters
    ----------
    error : Exception
        What the trial raised. An estimator refuses a value with a ValueError.
    candidate : str
        The name of what was searched.
    values : mapping
        What was sampled, by the names of the search space.

    Returns
    -------
    str
        The error, then the values whose names it holds; all of them if it holds none.
    """
    said = f"{type(error).__name__}: {error}"
    if not isinstance(error, ValueError) or not values:
        return said
    return f"{said} ({sampled(candidate, values, said)})"


def sampled(candidate: str, values: Mapping[str, Any], said: str) -> str:
    """Return which values were sampled: those whose own names occur in what was said, or all."""
    named = {
        key: value
        for key, value in values.items()
        if re.search(rf"\b{re.escape(key.rpartition('__')[2])}\b", said)
    }
    given = ", ".join(f"{key}={value!r}" for key, value in (named or values).items())
    return f"sampled from the search space of {candidate!r}: {given}"
