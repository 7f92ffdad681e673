"""One number of many draws, by the convention that compare() shows its means in."""

from __future__ import annotations

import pandas as pd


def mean_score(scores: pd.DataFrame) -> float:
    """Return one number of a candidate: over a task's draws first, then tasks, then shot counts.

    A shot count that only the larger tasks have rows for weighs as much as the others.

    Parameters
    ----------
    scores : DataFrame
        A row a draw: ``task``, ``n_shot``, ``score`` (NaN where it is not defined).

    Returns
    -------
    float
        NaN where no score is defined.
    """
    tasks = scores.groupby(["n_shot", "task"])["score"].mean()
    return float(tasks.groupby("n_shot").mean().mean())
