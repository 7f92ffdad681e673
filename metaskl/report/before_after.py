"""Predictions before and after adapting, computed for each view."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from metaskl.errors import NotAdaptedError, ParameterError, TaskError
from metaskl.estimators.adapt import transform
from metaskl.evaluation.draws import Draw, draw_classes, draw_rows
from metaskl.report.views import Curve, DecisionMap, ProbabilityBars

Array = npt.NDArray[Any]
_GRID, _MAP_GRID = 200, 150
# More bars than this are thin lines.
_MOST_BARS = 40


def draw_one(
    y: Array, ids: Array, n_way: int | None, task: Any, n_shot: int, random_state: int
) -> Draw:
    """Draw support and query of the task asked for, or of one of middle size."""
    seeds = {"n_repeats": 1, "random_state": random_state}
    if n_way is None:
        draws = draw_rows(ids, (n_shot,), **seeds)
    else:
        draws = draw_classes(y, ids, (n_shot,), n_way=n_way, **seeds)
    if task is not None:
        draws = [draw for draw in draws if draw.task == task]
    if not draws:
        which = "a task" if task is None else f"task {task!r}"
        raise TaskError(
            f"{which} must be there with more than n_shot={n_shot} rows, got none. Lower n_shot, "
            "or choose another task."
        )
    by_size = sorted(draws, key=lambda draw: len(draw.query))
    return by_size[len(by_size) // 2]


def is_numeric(X: Any, feature: int) -> bool:
    """Say whether a feature holds numbers."""
    column = X.iloc[:, feature] if hasattr(X, "columns") else X[:, feature]
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def predict_with_std(estimator: Any, X: Any) -> tuple[Array, Array | None]:
    """Return predictions, with standard deviations where the estimator knows them."""
    if isinstance(estimator, Pipeline):
        X, estimator = transform(estimator, X), estimator.steps[-1][1]
    if "return_std" in inspect.signature(estimator.predict).parameters:
        try:
            mean, std = estimator.predict(X, return_std=True)
            return np.ravel(mean), np.ravel(std)
        except ParameterError:  # this learner does not know them
            pass
    return np.ravel(estimator.predict(X)), None


def predict_before(estimator: Any, X: Any) -> Array | None:
    """Return what is predicted before adapting, if anything is."""
    try:
        return np.ravel(estimator.predict(X))
    except (NotAdaptedError, NotFittedError):
        return None


def curve_view(
    estimator: Any,
    adapted: Any,
    X_support: Any,
    y_support: Array,
    X_query: Any,
    y_query: Array | None,
    feature: int | str,
) -> Curve:
    """Predict along one feature."""
    columns = list(X_support.columns) if hasattr(X_support, "columns") else None
    place = feature if isinstance(feature, int) else (columns or []).index(feature)
    if not is_numeric(X_support, place):
        raise ParameterError(f"feature must be numeric, got {feature!r}. Choose another.")
    along = _column(X_support, place), _column(X_query, place)
    ends = np.concatenate(along)
    grid = np.linspace(np.nanmin(ends), np.nanmax(ends), _GRID)
    rows = _middle(X_support, _GRID)
    if columns is None:
        rows[:, place] = grid
    else:
        rows[columns[place]] = grid
    mean, std = predict_with_std(adapted, rows)
    return Curve(
        feature=str(columns[place]) if columns is not None else f"feature {place}",
        grid=grid,
        adapted=mean,
        std=std,
        prior=predict_before(estimator, rows),
        support=(along[0], y_support),
        query=None if y_query is None else (along[1], np.ravel(y_query)),
        held=X_support.shape[1] > 1,
    )


def _column(X: Any, place: int) -> Array:
    column = X.iloc[:, place] if hasattr(X, "columns") else X[:, place]
    return np.asarray(column, dtype=float)


def _middle(X: Any, n_rows: int) -> Any:
    """Repeat a row of medians, or of the most frequent values where there are no medians."""
    if not hasattr(X, "columns"):
        return np.repeat(np.median(X, axis=0, keepdims=True), n_rows, axis=0).astype(float)
    middle = {
        name: X[name].median() if is_numeric(X, i) else X[name].mode().iloc[0]
        for i, name in enumerate(X.columns)
    }
    return pd.DataFrame({name: [value] * n_rows for name, value in middle.items()})


def map_view(
    estimator: Any,
    adapted: Any,
    X_support: Any,
    y_support: Array,
    X_query: Any,
    y_query: Array | None,
) -> DecisionMap:
    """Predict over two features."""
    places = [np.concatenate([_column(X_support, i), _column(X_query, i)]) for i in (0, 1)]
    margins = [0.05 * (np.ptp(values) or 1.0) for values in places]
    axes = [
        np.linspace(values.min() - margin, values.max() + margin, _MAP_GRID)
        for values, margin in zip(places, margins, strict=True)
    ]
    points = np.stack([values.ravel() for values in np.meshgrid(*axes)], axis=1)
    columns = list(X_support.columns) if hasattr(X_support, "columns") else None
    rows = points if columns is None else pd.DataFrame(points, columns=columns)
    classes = np.asarray(adapted.classes_)

    def numbered(labels: Any) -> Array:
        return np.asarray(np.searchsorted(classes, labels))

    prior = predict_before(estimator, rows)
    shape = (_MAP_GRID, _MAP_GRID)
    query = None
    if y_query is not None:
        query = np.asarray(X_query, float), numbered(y_query)
    names = columns or ["feature 0", "feature 1"]
    return DecisionMap(
        features=(str(names[0]), str(names[1])),
        grid=(axes[0], axes[1]),
        classes=classes,
        adapted=numbered(adapted.predict(rows)).reshape(shape),
        prior=None if prior is None else numbered(prior).reshape(shape),
        support=(np.asarray(X_support, float), numbered(y_support)),
        query=query,
    )


def bars_view(estimator: Any, adapted: Any, X_query: Any, y_query: Array | None) -> ProbabilityBars:
    """Predict the class of some of the query rows."""
    n_query = X_query.shape[0]
    rows = np.linspace(0, n_query - 1, min(n_query, _MOST_BARS)).astype(int)
    X = _safe_indexing(X_query, rows)
    after = np.asarray(adapted.predict_proba(X))
    classes = np.asarray(adapted.classes_)
    labels = classes[after.argmax(axis=1)] if y_query is None else y_query[rows]
    try:
        before = np.asarray(estimator.predict_proba(X))
        prior = _of_class(before, np.asarray(estimator.classes_), labels)
    except (NotAdaptedError, NotFittedError):
        prior = None
    return ProbabilityBars(
        labels, _of_class(after, classes, labels), prior, y_query is not None, n_query
    )


def _of_class(probabilities: Array, classes: Array, labels: Array) -> Array:
    """Select each row's probability of its label, 0 for a class that is not known."""
    place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    found: Array = probabilities[np.arange(len(labels)), place]
    return np.where(classes[place] == labels, found, 0.0)
