"""How often verification is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import auc, roc_curve

from metaskl.errors import ParameterError

_N_BOOTSTRAP = 1000
_REPORTED = ["roc_auc", "equal_error_rate", "false_accept", "false_reject"]


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
        persons claimed with replacement, each with all its trials. Who else is in these is not
        drawn anew: the interval of ``false_accept`` is a little narrow where few others are.

    Raises
    ------
    ParameterError
        If a person is claimed in trials of one kind only.

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
    kinds = trials.groupby("claimed")["same"].nunique()
    if not len(kinds) or kinds.min() < 2:
        raise ParameterError(
            "trials must hold, of each person claimed, some of this person and some of another, "
            f"got one kind of {kinds.index[kinds < 2][:5].tolist()}. Add trials, or leave them out."
        )
    trials = trials.assign(above=trials["similarity"] - trials["threshold"])
    trials = trials.sort_values("above", ascending=False, kind="stable")
    same, accepted = trials["same"].to_numpy(bool), trials["accepted"].to_numpy(bool)
    # Of equal similarities the last: none of them can be accepted without the others.
    steps = np.append(np.flatnonzero(np.diff(trials["above"])), len(trials) - 1)
    names, person = np.unique(trials["claimed"], return_inverse=True)
    rng = np.random.default_rng(random_state)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), _N_BOOTSTRAP)
    drawn = [_rates(same, accepted, steps, draw[person]) for draw in draws]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    mean = _rates(same, accepted, steps, np.ones(len(trials)))
    return pd.DataFrame({"mean": mean, "low": low, "high": high}, index=_REPORTED)


def _equal(accepted: Any, found: Any) -> float:
    """Return where the ROC curve meets equal errors: their difference rises from -1 to 1."""
    return float(np.interp(0.0, accepted + found - 1, accepted))


def _rates(same: Any, accepted: Any, steps: Any, weight: Any) -> list[float]:
    """Return what is reported of trials in falling order of similarity, with a weight each."""
    own, strange = weight * same, weight * ~same
    found, wrong = (np.append(0.0, np.cumsum(w)[steps] / w.sum()) for w in (own, strange))
    return [
        float(auc(wrong, found)),
        _equal(wrong, found),
        float(strange[accepted].sum() / strange.sum()),
        float(own[~accepted].sum() / own.sum()),
    ]
