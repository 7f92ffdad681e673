"""A comparison as text, so that a model file holds nothing but arrays and text."""

from __future__ import annotations

import json
from dataclasses import asdict
from io import StringIO
from typing import Any

import pandas as pd

from metaskl.evaluation import Comparison, Difference, Verdict


def to_plain(comparison: Comparison) -> str:
    """Return a comparison as JSON.

    Parameters
    ----------
    comparison : Comparison
        Any whose task ids are texts or numbers.

    Returns
    -------
    str
        What :func:`from_plain` reads.
    """
    verdict = asdict(comparison.verdict)
    verdict["left_out"] = list(verdict["left_out"].items())
    held = {
        name: getattr(comparison, name)
        for name in ("families", "metric", "lower_is_better", "protocol", "failures", "seconds")
    }
    scores = comparison.scores.to_json(orient="table", index=False, double_precision=15)
    return json.dumps({**held, "verdict": verdict, "scores": scores}, default=_number)


def from_plain(text: str) -> Comparison:
    """Read what :func:`to_plain` wrote.

    Parameters
    ----------
    text : str
        JSON.

    Returns
    -------
    Comparison
        The comparison.
    """
    held = json.loads(text)
    verdict = held.pop("verdict")
    for side in ("against_baselines", "against_per_task"):
        verdict[side] = tuple(
            Difference(**difference | {"others": tuple(difference["others"])})
            for difference in verdict[side]
        )
    verdict["left_out"] = dict(verdict["left_out"])
    scores = pd.read_json(StringIO(held.pop("scores")), orient="table", precise_float=True)
    return Comparison(scores=scores, verdict=Verdict(**verdict), **held)


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
