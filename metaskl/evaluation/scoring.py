"""Scorers by name, and what they ask of a classifier."""

from __future__ import annotations

from typing import Any

from sklearn.metrics import get_scorer, get_scorer_names

from metaskl.errors import ParameterError, did_you_mean


def resolve_scorer(scoring: Any, *, classification: bool) -> Any:
    """Return a scorer: the one asked for, or accuracy, or minus the root mean squared error.

    Raises
    ------
    ParameterError
        If there is no scorer of that name, or a metric was given in place of a scorer.
    """
    if scoring is None:
        scoring = "accuracy" if classification else "neg_root_mean_squared_error"
    if isinstance(scoring, str):
        known = get_scorer_names()
        if scoring not in known:
            raise ParameterError(
                f"scoring must be the name of a scikit-learn scorer, got {scoring!r}."
                f"{_near_scorers(scoring, known)} sklearn.metrics.get_scorer_names() lists all."
            )
        return get_scorer(scoring)
    if not callable(scoring):
        raise ParameterError(
            f"scoring must be one scorer, by name or as a callable, got {scoring!r}. Give for "
            "example scoring='roc_auc'; for several scores call once for each."
        )
    if getattr(scoring, "__module__", "").startswith("sklearn.metrics.") and not hasattr(
        scoring, "_score_func"
    ):
        raise ParameterError(
            f"scoring must be a scorer, got the metric {scoring.__name__}, which knows nothing of "
            f"an estimator. Wrap it: sklearn.metrics.make_scorer({scoring.__name__}), with "
            "greater_is_better=False if it is an error."
        )
    return scoring


def metric_name(scoring: Any, *, classification: bool) -> str:
    """Return what a scorer measures, in words."""
    if scoring is None:
        return "accuracy" if classification else "root mean squared error"
    if isinstance(scoring, str):
        return scoring.removeprefix("neg_").replace("_", " ")
    return str(getattr(scoring, "__name__", scoring))


# Metrics between 0 and 1, by the beginning of their names in words; and all accuracies.
_FRACTIONS = ("roc auc", "average precision", "precision", "recall", "f1", "jaccard")


def within_bounds(curve: Any, metric: str) -> Any:
    """Cut the intervals of a curve, a frame, to what a metric can be: Student does not know it."""
    if not (metric.endswith("accuracy") or metric.startswith(_FRACTIONS)):
        return curve
    return curve.assign(low=curve["low"].clip(0.0, 1.0), high=curve["high"].clip(0.0, 1.0))


def needed(scorer: Any) -> tuple[bool, bool]:
    """Say whether a scorer asks a classifier for labels, and whether for probabilities."""
    method = getattr(scorer, "_response_method", None)
    if method is None:  # a callable of the user's own may ask for either
        return True, True
    return method == "predict", method != "predict"


def _near_scorers(name: str, known: list[str]) -> str:
    """Return a hint: by its initials (rmse, mae), as a part (auc), or by its spelling."""
    short = name.lower().removeprefix("neg_").replace("-", "_")
    plain = {scorer.removeprefix("neg_"): scorer for scorer in known}
    initials = [s for p, s in plain.items() if "".join(w[0] for w in p.split("_")) == short]
    parts = [s for p, s in plain.items() if short in p.split("_") or p == short]
    if found := initials or parts[:3]:
        return f" Did you mean {' or '.join(map(repr, found))}?"
    return did_you_mean(name, known)
