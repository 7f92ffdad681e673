"""How often verification is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import auc, roc_curve

from metaskl.errors import ParameterError

_N_BOOTSTRAP = 1000


def equal_error_rate(same: Any, similarity: Any) -> tuple[float, float]:
    """Return the rate at which false accepts and false rejects are equally frequent.

    Parameters
    ----------
    same : array-like of bool of shape (n,)
        Whether the two pictures of a trial are of one person.
    similarity : array-like of shape (n,)
        Greater is more alike.

    Returns
    -------
    rate : float
        Equal error rate, 0 to 1, by straight lines between the points of the ROC curve.
    threshold : float
        Where the two error rates differ least: accept from this similarity on. Halfway to the
        next similarity below, so that trials of others fall on neither side by a hair.

    Raises
    ------
    ParameterError
        If all trials are of one kind.

    Examples
    --------
    >>> from metaskl_vision import equal_error_rate
    >>> equal_error_rate([True, True, False, False], [0.9, 0.5, 0.25, 0.0])
    (0.0, 0.375)
    """
    same, similarity = np.asarray(same, dtype=bool), np.asarray(similarity, dtype=np.float64)
    if same.all() or not same.any():
        raise ParameterError(
            f"same must hold trials of one person and of two, got {int(same.sum())} of "
            f"{len(same)} of one. Add probes of the other kind."
        )
    accepted, found, levels = roc_curve(same, similarity, drop_intermediate=False)
    best = max(int(np.abs(accepted + found - 1).argmin()), 1)  # the first point is at infinity
    below = levels[min(best + 1, len(levels) - 1)]
    return _equal(accepted, found), float((levels[best] + below) / 2)


def verification_report(trials: pd.DataFrame, *, random_state: int = 0) -> pd.DataFrame:
    """Summarise trials of :func:`verify`, with intervals over the persons claimed.

    Parameters
    ----------
    trials : DataFrame
        With ``claimed``, ``same``, ``similarity``, ``threshold``, ``accepted``. Those of several
        folds may be stacked: similarities count from the threshold of their fold.
    random_state : int, default=0
        Seed of the bootstrap.

    Returns
    -------
    DataFrame
        ``mean``, ``low`` and ``high`` of ``roc_auc``, ``equal_error_rate``, ``false_accept`` and
        ``false_reject``: the value, and its 95 % percentile interval over 1,000 draws of as many
        persons with replacement, each with all its trials.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl_vision import verification_report
    >>> trials = pd.DataFrame({
    ...     "claimed": ["ann", "ann", "bob", "bob"], "same": [True, False] * 2,
    ...     "similarity": [0.9, 0.2, 0.8, 0.1], "threshold": 0.5,
    ...     "accepted": [True, False] * 2,
    ... })
    >>> verification_report(trials)["mean"].tolist()
    [1.0, 0.0, 0.0, 0.0]
    """
    above = trials["similarity"] - trials["threshold"]
    columns = [values.to_numpy() for values in (trials["same"], above, trials["accepted"])]
    person = np.unique(trials["claimed"], return_inverse=True)[1]
    rows = [np.flatnonzero(person == i) for i in range(int(person.max()) + 1)]
    rng = np.random.default_rng(random_state)
    drawn = []
    for _ in range(_N_BOOTSTRAP):
        index = np.concatenate([rows[i] for i in rng.integers(len(rows), size=len(rows))])
        drawn.append(_rates(*(column[index] for column in columns)))
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    names = ["roc_auc", "equal_error_rate", "false_accept", "false_reject"]
    return pd.DataFrame({"mean": _rates(*columns), "low": low, "high": high}, index=names)


def _equal(accepted: Any, found: Any) -> float:
    """Return where the ROC curve meets equal errors: their difference rises from -1 to 1."""
    return float(np.interp(0.0, accepted + found - 1, accepted))


def _rates(same: Any, similarity: Any, accepted: Any) -> list[float]:
    wrong, found, _ = roc_curve(same, similarity, drop_intermediate=False)
    return [
        float(auc(wrong, found)),
        _equal(wrong, found),
        float(accepted[~same].mean()),
        float(1 - accepted[same].mean()),
    ]
