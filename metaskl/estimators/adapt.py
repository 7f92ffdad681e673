"""Adapt anything that holds a meta-learner: Pipelines, searches, transformed targets."""

from __future__ import annotations

import copy
from functools import singledispatch
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted

from metaskl._compat import BaseSearchCV
from metaskl.errors import ParameterError, named


@singledispatch
def adapt(estimator: Any, X: Any, y: Any) -> Any:
    """Adapt a fitted estimator to one new task.

    Works for the meta-learners, `PerTask`, `Pooled` and the shrunken models, and for what holds
    one: a Pipeline (its fitted steps transform the support, the last one is adapted), a
    TransformedTargetRegressor, a fitted search (its best estimator), a FrozenEstimator. Other
    containers may be registered with ``adapt.register(type)``.

    Parameters
    ----------
    estimator : estimator
        Fitted; it is left as it is. Of an adapted copy only what was meta-trained counts: adapting
        starts over, so give all labelled rows at once.
    X : array-like or data frame of shape (n_support, ...)
        The support's features.
    y : array-like of shape (n_support,) or (n_support, n_outputs)
        The support's targets.

    Returns
    -------
    adapted
        An estimator of the same kind that predicts the new task.

    Raises
    ------
    ParameterError
        If the estimator cannot be adapted.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from metaskl import RidgeHeadRegressor, adapt
    >>> from metaskl.tasks import LinearTasks
    >>> from sklearn import config_context
    >>> lines = LinearTasks().sample(50, 20, random_state=0)
    >>> meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> with config_context(enable_metadata_routing=True):
    ...     pipe = make_pipeline(StandardScaler(), meta).fit(lines.X, lines.y, groups=lines.groups)
    >>> adapt(pipe, lines.X[:5], lines.y[:5]).predict(lines.X[5:8]).shape
    (3,)
    """
    require_adapts(estimator)
    return estimator.adapt(X, y)


@adapt.register(Pipeline)
def _(estimator: Pipeline, X: Any, y: Any) -> Pipeline:
    check_is_fitted(estimator)
    last = adapt(estimator.steps[-1][1], transform(estimator, X), y)
    return _with_last_step(estimator, last)


@adapt.register(TransformedTargetRegressor)
def _(estimator: TransformedTargetRegressor, X: Any, y: Any) -> TransformedTargetRegressor:
    check_is_fitted(estimator)
    y = np.asarray(y)
    target = estimator.transformer_.transform(y.reshape(len(y), -1))
    adapted = copy.copy(estimator)
    adapted.regressor_ = adapt(estimator.regressor_, X, target[:, 0] if y.ndim == 1 else target)
    return adapted


@adapt.register(BaseSearchCV)
def _(estimator: Any, X: Any, y: Any) -> Any:
    check_is_fitted(estimator, "best_estimator_")
    return adapt(estimator.best_estimator_, X, y)


@adapt.register(FrozenEstimator)
def _(estimator: FrozenEstimator, X: Any, y: Any) -> Any:
    return adapt(estimator.estimator, X, y)


def require_adapts(estimator: Any) -> None:
    """Raise if :func:`adapt` could not adapt this estimator, fitted or not.

    Raises
    ------
    ParameterError
        It says what to wrap it in.
    """
    if not can_adapt(estimator):
        raise ParameterError(
            f"estimator must be able to adapt, got {named(estimator)}. Use a "
            "meta-learner, or wrap an ordinary estimator in PerTask, Pooled or ShrunkRegressor."
        )


def can_adapt(estimator: Any) -> bool:
    """Say whether :func:`adapt` can adapt this estimator, once it is fitted."""
    if isinstance(estimator, Pipeline):
        return can_adapt(estimator.steps[-1][1])
    if isinstance(estimator, TransformedTargetRegressor):
        return can_adapt(estimator.regressor)
    if isinstance(estimator, FrozenEstimator | BaseSearchCV):
        return can_adapt(estimator.estimator)
    return hasattr(estimator, "adapt")


def adapt_groups(estimator: Any, X: Any, y: Any, groups: Any) -> dict[Any, Any]:
    """Adapt a fitted estimator to many tasks: as :func:`adapt` on each, in fewer calls.

    Parameters
    ----------
    estimator : estimator
        Fitted; a Pipeline transforms all supports in one call.
    X, y : array-like or data frame of shape (n_rows, ...) and (n_rows,)
        The supports of all tasks.
    groups : array-like of shape (n_rows,)
        Task ids.

    Returns
    -------
    dict
        An adapted estimator for each task id.
    """
    ids = np.asarray(groups)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        copies = adapt_groups(estimator.steps[-1][1], transform(estimator, X), y, ids)
        return {task: _with_last_step(estimator, last) for task, last in copies.items()}
    if isinstance(estimator, FrozenEstimator):
        return adapt_groups(estimator.estimator, X, y, ids)
    if isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator, "best_estimator_")
        return adapt_groups(estimator.best_estimator_, X, y, ids)
    if hasattr(estimator, "adapt_groups"):
        stacked: dict[Any, Any] = estimator.adapt_groups(X, y, ids)
        return stacked
    y = np.asarray(y)
    rows = {task: np.flatnonzero(ids == task) for task in np.unique(ids).tolist()}
    return {t: adapt(estimator, _safe_indexing(X, index), y[index]) for t, index in rows.items()}


def seen_tasks(estimator: Any) -> dict[Any, Any]:
    """Return models of the tasks of fit, from an estimator that keeps them."""
    if isinstance(estimator, Pipeline):
        models = seen_tasks(estimator.steps[-1][1])
        return {task: _with_last_step(estimator, model) for task, model in models.items()}
    return dict(estimator.adapted_tasks()) if hasattr(estimator, "adapted_tasks") else {}


def transform(pipeline: Pipeline, X: Any) -> Any:
    """Run a Pipeline's fitted steps before the last."""
    for _, step in pipeline.steps[:-1]:
        if step is not None and step != "passthrough":
            X = step.transform(X)
    return X


def _with_last_step(pipeline: Pipeline, last: Any) -> Pipeline:
    """Return the fitted Pipeline with another last step."""
    copied = copy.copy(pipeline)
    copied.steps = [*pipeline.steps[:-1], (pipeline.steps[-1][0], last)]
    return copied
