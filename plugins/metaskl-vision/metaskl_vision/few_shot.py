"""Few labelled pictures of a new problem: every candidate on the same draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from metaskl import adapt
from metaskl.errors import TaskError
from metaskl.estimators.adapt import can_adapt


def few_shot_scores(
    candidates: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    X_test: Any,
    y_test: Any,
    n_shot: Sequence[int] = (1, 5, 10),
    n_repeats: int = 20,
    random_state: int = 0,
) -> pd.DataFrame:
    """Score classifiers that see a few pictures of each class of one problem.

    Parameters
    ----------
    candidates : mapping of str to estimator
        A meta-learner that was fitted on other problems is adapted (:func:`metaskl.adapt`); any
        other classifier is cloned and fitted on the support alone.
    X, y : array-like of shape (n, C, H, W) and (n,)
        What the support is drawn from.
    X_test, y_test : array-like of shape (m, C, H, W) and (m,)
        What is predicted, all of it every time. Of other patients than `X`, if the data say so.
    n_shot : sequence of int, default=(1, 5, 10)
        Pictures of each class in a support, >= 1.
    n_repeats : int, default=20
        Draws of the support; the same for all candidates.
    random_state : int, default=0
        Seed.

    Returns
    -------
    DataFrame
        ``candidate``, ``n_shot``, ``repeat``, ``balanced_accuracy`` and ``roc_auc`` (mean of each
        class against the rest where there are more than two). An interval over repeats is one
        over supports of this problem, and says nothing of other problems.

    Raises
    ------
    TaskError
        If a class has fewer pictures than a support takes, or the test lacks a class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import NearestCentroid
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.linear_model import LogisticRegression
    >>> from metaskl_vision import few_shot_scores, flatten_pictures
    >>> X, y = np.arange(20.0).reshape(20, 1, 1, 1), np.repeat(["well", "ill"], 10)
    >>> pixels = {"pixels": make_pipeline(flatten_pictures(), LogisticRegression())}
    >>> few_shot_scores(pixels, X, y, X_test=X, y_test=y, n_shot=[5])["roc_auc"].mean()
    np.float64(1.0)
    """
    X, y, X_test, y_test = (np.asarray(values) for values in (X, y, X_test, y_test))
    classes, counts = np.unique(y, return_counts=True)
    if (
        len(classes) < 2
        or min(n_shot) < 1
        or counts.min() < max(n_shot)
        or not np.array_equal(classes, np.unique(y_test))
    ):
        held = dict(zip(classes.tolist(), counts.tolist(), strict=True))
        raise TaskError(
            f"y must hold at least 2 classes with n_shot={list(n_shot)} pictures each (at least "
            f"1), and y_test the same classes, got {held} and "
            f"{np.unique(y_test).tolist()}. Lower n_shot or add pictures."
        )
    records = []
    for repeat in range(n_repeats):
        # Nested: a larger support holds the smaller one of the same draw.
        rng = np.random.default_rng([random_state, repeat])
        order = [rng.permutation(np.flatnonzero(y == label)) for label in classes]
        for shots in n_shot:
            rows = np.concatenate([of_class[:shots] for of_class in order])
            for name, estimator in candidates.items():
                probability = _learned(estimator, X[rows], y[rows]).predict_proba(X_test)
                scores = _scores(y_test, probability, classes)
                records.append({"candidate": name, "n_shot": shots, "repeat": repeat, **scores})
    return pd.DataFrame(records)


def _learned(estimator: Any, X: Any, y: Any) -> Any:
    """Adapt a meta-learner, or fit a clone of anything else."""
    if can_adapt(estimator):
        return adapt(estimator, X, y)
    return clone(estimator).fit(X, y)


def _scores(y: Any, probability: Any, classes: Any) -> dict[str, float]:
    positive = probability[:, 1] if len(classes) == 2 else probability
    return {
        "balanced_accuracy": float(balanced_accuracy_score(y, classes[probability.argmax(axis=1)])),
        "roc_auc": float(roc_auc_score(y, positive, multi_class="ovr")),
    }
