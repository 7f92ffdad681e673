"""Scores summarised over tasks, along the shot counts."""

from __future__ import annotations

import pandas as pd

from metaskl.evaluation.differences import interval
from metaskl.evaluation.scoring import within_bounds


def shots_curve(scores: pd.DataFrame, *, by: str | None = None) -> pd.DataFrame:
    """Summarise scores over tasks: mean and 95 % interval at each shot count.

    Parameters
    ----------
    scores : DataFrame
        What :func:`cross_validate_tasks` returned, or ``Comparison.scores``.
    by : str, optional
        A further column to keep apart, such as ``"candidate"``.

    Returns
    -------
    DataFrame
        With ``n_shot``, ``mean``, ``low``, ``high``, ``n_tasks``, ``n_undefined`` (and `by`).
        A task's repeats are averaged first: the interval is over tasks. Scores are as
        scikit-learn's scorers give them, greater is better, so that the mean of an error such
        as ``neg_root_mean_squared_error`` is negative: turn the sign for the error itself, and
        `low` and `high` change places. ``n_undefined`` counts the draws that are left out
        because their score is not defined (NaN, as the area under the curve of a query of one
        class); a task without any score does not count in ``n_tasks``. Of a metric between 0
        and 1 that :func:`cross_validate_tasks` noted in ``scores.attrs``, intervals end there.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl import shots_curve
    >>> scores = pd.DataFrame({"task": list("aabb"), "n_shot": 5, "score": [1.0, 3.0, 4.0, 6.0]})
    >>> shots_curve(scores)[["mean", "n_tasks"]].to_numpy().tolist()
    [[3.5, 2.0]]
    """
    keys = ["n_shot"] if by is None else [by, "n_shot"]
    rows = []
    for key, part in scores.groupby(keys, sort=False):
        values = part.groupby("task", sort=False)["score"].mean().dropna().to_numpy()
        mean, low, high = interval(values)
        rows.append(
            {
                **dict(zip(keys, key, strict=True)),
                **{"mean": mean, "low": low, "high": high, "n_tasks": len(values)},
                "n_undefined": int(part["score"].isna().sum()),
            }
        )
    curve: pd.DataFrame = within_bounds(pd.DataFrame(rows), scores.attrs.get("metric", ""))
    return curve
