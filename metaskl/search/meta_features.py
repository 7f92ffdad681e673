"""What a task set looks like, in a few numbers by which others like it are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from metaskl.evaluation.draws import Draw, Ways, draw_classes, draw_rows

Array = npt.NDArray[Any]
# Landmarkers are to take a second, whatever the size of the table.
_MOST_TASKS = 100
_MOST_ROWS = 5000
_MOST_COLUMNS = 64
_SHOTS = 5
# One tenth of the rows as a penalty: strong enough for five rows of many columns.
_RIDGE = 0.1


def meta_features(
    X: Any, y: Any, groups: Any, *, kind: str, n_way: Ways | None = None
) -> dict[str, float]:
    """Describe a task set by its meta-features.

    Counts are decimal logarithms, shares and landmarkers are at most 1, so that a difference
    of 1 is large in each. The landmarkers are scores of quick models on tasks held out, with 5
    rows of each: 1 is perfect, 0 no better than a constant.

    Parameters
    ----------
    X : array-like, sparse matrix or data frame of shape (n_rows, ...)
        Features. Columns of text are counted, and else left out.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Targets without missing values.
    groups : ndarray of shape (n_rows,)
        Task ids.
    kind : {"regression", "classification"}
        What the targets are.
    n_way : int or "all", optional
        Classes of an episode, where classes are private to a task.

    Returns
    -------
    dict of float
        ``tasks``, ``rows`` (median of a task), ``unequal`` (its 9th to its 1st decile),
        ``features``, ``classes`` as logarithms; ``balance`` (entropy of the classes as a part of
        the greatest), ``target_between`` and ``feature_between`` (the share of the variance that
        lies between tasks) and the landmarkers ``pooled`` (a linear model of the other tasks),
        ``shifted`` (the same, moved to the support's mean) and ``alone`` (of the support only).

    References
    ----------
    .. [1] M. Feurer, J. T. Springenberg, F. Hutter. Initializing Bayesian Hyperparameter
       Optimization via Meta-Learning. AAAI Conference on Artificial Intelligence, 2015.

    Examples
    --------
    >>> from metaskl.search import meta_features
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(100, 10, random_state=0)
    >>> found = meta_features(lines.X, lines.y, lines.groups, kind="regression")
    >>> found["tasks"], found["rows"], found["classes"]
    (2.0, 1.0, 0.0)
    """
    ids = np.unique(np.asarray(groups), return_inverse=True)[1]
    sizes = np.bincount(ids)
    columns, n_features = _columns(X)
    targets, balance, n_classes = _targets(y, kind)
    low, high = np.quantile(sizes, [0.1, 0.9])
    private = n_way is not None
    shares = [between_share(column, ids) for column in columns.T]
    found = {
        "tasks": np.log10(len(sizes)),
        "rows": np.log10(np.median(sizes)),
        "unequal": np.log10(high / low),
        "features": np.log10(max(1, n_features)),
        "classes": np.log10(n_classes),
        "balance": balance,
        "target_between": 0.0 if private else float(np.mean(_shares(targets, ids))),
        "feature_between": float(np.mean(shares)) if shares else 0.0,
    }
    found |= _landmarkers(columns, targets, np.asarray(y), ids, n_way)
    return {name: round(float(value), 6) for name, value in found.items()}


def between_share(values: Array, ids: Array) -> float:
    """Return the share of the variance that lies between tasks, in [0, 1].

    The intraclass correlation of one-way random effects, from the mean squares of an analysis of
    variance with tasks of unequal size.
    """
    sizes = np.bincount(ids)
    n_tasks, n_rows = len(sizes), len(values)
    if n_tasks < 2 or n_rows <= n_tasks:
        return 0.0
    means = np.bincount(ids, values) / sizes
    between = (sizes * (means - values.mean()) ** 2).sum() / (n_tasks - 1)
    within = ((values - means[ids]) ** 2).sum() / (n_rows - n_tasks)
    typical = (n_rows - (sizes**2).sum() / n_rows) / (n_tasks - 1)
    variance = max(0.0, (between - within) / typical)
    total = variance + within
    return float(variance / total) if total > 0 else 0.0


def distance(first: dict[str, float], second: dict[str, float]) -> float:
    """Return how far apart two task sets are: the Euclidean distance of their meta-features.

    Parameters
    ----------
    first, second : dict of float
        What :func:`meta_features` returned. A feature that only one has counts as far as 1.

    Returns
    -------
    float
        0 for the same meta-features.
    """
    gaps = [
        first[name] - second[name] if name in first and name in second else 1.0
        for name in sorted({*first, *second})
    ]
    return float(np.linalg.norm(gaps))


def _columns(X: Any) -> tuple[Array, int]:
    """Return numeric columns, standardised and without gaps, and the number of all columns."""
    if isinstance(X, pd.DataFrame):
        n_features = X.shape[1]
        X = X.select_dtypes(["number", "bool"]).to_numpy(float)
    else:
        X = X if sparse.issparse(X) else np.asarray(X)
        X = X if sparse.issparse(X) else X.reshape(len(X), -1)
        n_features = X.shape[1]
    chosen = np.linspace(0, X.shape[1] - 1, min(X.shape[1], _MOST_COLUMNS)).astype(int)
    part = X[:, chosen]
    try:
        part = np.asarray(part.toarray() if sparse.issparse(part) else part, dtype=float)
    except ValueError:  # texts: what is asked of them needs no numbers
        return np.zeros((X.shape[0], 0)), n_features
    part = np.where(np.isfinite(part), part, np.nan)
    gaps = np.isnan(part).all(axis=0)
    part = part[:, ~gaps]
    part = np.where(np.isnan(part), np.nanmean(part, axis=0) if part.size else 0.0, part)
    scale = part.std(axis=0)
    return (part - part.mean(axis=0)) / np.where(scale > 0, scale, 1.0), n_features


def _targets(y: Any, kind: str) -> tuple[Array, float, int]:
    """Return targets as standardised columns, the balance of classes, and their number."""
    y = np.asarray(y)
    if kind == "classification":
        names, number = np.unique(y.ravel() if y.ndim == 1 else y[:, 0], return_inverse=True)
        part = np.bincount(number) / len(number)
        entropy = -(part * np.log(part)).sum()
        balance = float(entropy / np.log(len(names))) if len(names) > 1 else 0.0
        # The most frequent classes stand for a large number of them.
        kept = np.argsort(-part, kind="stable")[:10]
        columns = (number[:, None] == kept).astype(float)
        n_classes = len(names)
    else:
        columns, balance, n_classes = y.reshape(len(y), -1).astype(float), 1.0, 1
    scale = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(scale > 0, scale, 1.0), balance, n_classes


def _shares(columns: Array, ids: Array) -> list[float]:
    return [between_share(column, ids) for column in columns.T]


def _landmarkers(
    X: Array, targets: Array, y: Array, ids: Array, n_way: Ways | None
) -> dict[str, float]:
    """Return the scores of quick models on the draws of two halves of the tasks."""
    rng = np.random.default_rng(0)
    tasks = rng.permutation(np.unique(ids))[:_MOST_TASKS]
    rows = np.flatnonzero(np.isin(ids, tasks))
    rows = np.sort(rng.permutation(rows)[:_MOST_ROWS])
    if n_way is not None:
        draws = draw_classes(
            y[rows], ids[rows], (_SHOTS, 1), n_way=n_way, n_repeats=1, random_state=0
        )
        return {"pooled": 0.0, "shifted": 0.0, "alone": _nearest_centroid(X[rows], y[rows], draws)}
    draws = draw_rows(ids[rows], (_SHOTS, 1), n_repeats=1, random_state=0)
    return _linear(X[rows], targets[rows], ids[rows], _largest(draws))


def _largest(draws: list[Draw]) -> list[Draw]:
    """Return each task's draw with the most shots."""
    found: dict[Any, Draw] = {}
    for draw in draws:
        if draw.task not in found or draw.n_shot > found[draw.task].n_shot:
            found[draw.task] = draw
    return list(found.values())


def _linear(X: Array, y: Array, ids: Array, draws: list[Draw]) -> dict[str, float]:
    """Score ridge regression of the other half's tasks, as it is and moved, and of the support."""
    errors: dict[str, list[float]] = {"pooled": [], "shifted": [], "alone": []}
    spread: list[float] = []
    half = np.unique(ids)[::2]
    inside = np.isin(ids, half)
    models = {side: _ridge(X[inside != side], y[inside != side]) for side in (True, False)}
    for draw in draws:
        mean, weight = models[bool(inside[draw.query[0]])]
        truth, there = y[draw.query], y[draw.support]
        pooled = mean + X[draw.query] @ weight
        move = (there - mean - X[draw.support] @ weight).mean(axis=0)
        own_mean, own = _ridge(X[draw.support], there)
        guesses = {
            "pooled": pooled,
            "shifted": pooled + move,
            "alone": own_mean + X[draw.query] @ own,
        }
        for name, guess in guesses.items():
            errors[name].append(float(((guess - truth) ** 2).mean()))
        spread.append(float((truth**2).mean()))
    whole = float(np.mean(spread)) if spread else 0.0
    if whole == 0:
        return dict.fromkeys(errors, 0.0)
    return {name: max(-1.0, 1 - float(np.mean(e)) / whole) for name, e in errors.items()}


def _ridge(X: Array, y: Array) -> tuple[Array, Array]:
    """Return intercept and weights of ridge regression."""
    if not len(X):
        return np.zeros(y.shape[1]), np.zeros((X.shape[1], y.shape[1]))
    centre, mean = X.mean(axis=0), y.mean(axis=0)
    Z = X - centre
    weight = np.linalg.solve(Z.T @ Z + _RIDGE * len(X) * np.eye(X.shape[1]), Z.T @ (y - mean))
    return mean - centre @ weight, weight


def _nearest_centroid(X: Array, y: Array, draws: list[Draw]) -> float:
    """Return the accuracy of the nearest class mean beyond chance, as a part of what is left."""
    found = []
    for draw in _largest(draws):
        classes = np.unique(y[draw.support])
        means = np.stack([X[draw.support][y[draw.support] == c].mean(axis=0) for c in classes])
        gaps = ((X[draw.query][:, None] - means) ** 2).sum(axis=2)
        right = float((classes[gaps.argmin(axis=1)] == y[draw.query]).mean())
        found.append((right - 1 / len(classes)) / (1 - 1 / len(classes)))
    return max(-1.0, float(np.mean(found))) if found else 0.0
