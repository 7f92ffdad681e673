"""Cross-validation over tasks, at several shot counts."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from metaskl._compat import BaseSearchCV, threads_for
from metaskl.errors import GroupsWarning, MetasklWarning, ParameterError, named
from metaskl.estimators.adapt import adapt
from metaskl.evaluation.answers import is_transductive, score_draws
from metaskl.evaluation.class_sets import tasks_to_score
from metaskl.evaluation.draws import Ways
from metaskl.evaluation.folds import Array, Fold, make_folds, shots_left_out
from metaskl.evaluation.scoring import metric_name, resolve_scorer
from metaskl.evaluation.warming import warm_up
from metaskl.tasks.targets import require_values


def cross_validate_tasks(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    n_shot: Any = (5, 10, 20),
    n_repeats: int = 3,
    cv: Any = 5,
    holdout: str = "tasks",
    scoring: Any = None,
    n_way: Ways | None = None,
    n_jobs: int | None = None,
    random_state: int = 0,
) -> pd.DataFrame:
    """Score how well an estimator adapts to tasks.

    With ``holdout="tasks"`` whole tasks are held out: each is split into support and query,
    adapted to, and scored on the query. With ``holdout="rows"`` every task is seen: `n_shot` of
    its rows are the training data, and the rest of its rows is scored after adapting to them.

    Parameters
    ----------
    estimator : estimator
        A meta-learner, a baseline (`PerTask`, `Pooled`, `ShrunkRegressor`), or a Pipeline that
        ends in one. It is cloned.
    X : array-like or data frame of shape (n_rows, ...)
        Features.
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Targets.
    groups : array-like of shape (n_rows,), or str, optional
        Task ids, or the name of the column of `X` that holds them. May be left out where the
        classes are private: they are dealt out at random into sets of `n_way`, which count as
        the tasks; fits see the classes of all training sets as one pool. What is too scarce or
        too little for a set is in the last, of which each repeat draws `n_way`.
    n_shot : int, float or sequence of them, default=(5, 10, 20)
        Labelled rows of a held-out task; rows of each class with ``label_space="task"``.
        Fractions of a task's rows are allowed with ``holdout="rows"``. A quarter of a task's
        rows at least is kept to be predicted; a count that no task is large enough for is left
        out with a warning.
    n_repeats : int, default=3
        Draws of support and query for each task (``holdout="tasks"``).
    cv : int or scikit-learn splitter over groups, default=5
        Folds over tasks; ``GroupKFold(5)``, ``LeaveOneGroupOut()``, ``GroupShuffleSplit()`` and
        the like are given the task ids. With ``holdout="rows"`` the number of random splits.
    holdout : {"tasks", "rows"}, default="tasks"
        What is held out.
    scoring : str or callable, optional
        A scikit-learn scorer, greater is better. By default accuracy, or minus the root mean
        squared error.
    n_way : int or "all", optional
        Classes of an episode, where classes are private to a task, or all that the
        task has. By default the estimator's own, if it has ``label_space="task"``; give it for
        a baseline that is to be scored on the same episodes.
    n_jobs : int, optional
        Folds in parallel, by joblib.
    random_state : int, default=0
        Seed of folds and draws: the same supports for every estimator.

    Returns
    -------
    DataFrame
        One row a fold, task, repeat and shot count, with ``n_support``, ``n_query``,
        ``score`` (NaN where it is not defined), and the fold's ``fit_time`` and ``score_time``
        (adapting and predicting) in seconds.

    Raises
    ------
    ValueError
        If the task ids do not fit, the estimator cannot adapt, `cv` tears tasks apart, or no
        task is large enough for any shot count.

    Warns
    -----
    MetasklWarning
        If a shot count is left out because no task is large enough for it.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from metaskl import PerTask, cross_validate_tasks
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(20, 40, random_state=0)
    >>> scores = cross_validate_tasks(PerTask(Ridge()), lines.X, lines.y, lines.groups, cv=2)
    >>> scores.groupby("n_shot")["score"].mean().is_monotonic_increasing
    True
    """
    check_adapts(estimator)
    scorer = resolve_scorer(scoring, classification=is_classifier(estimator))
    require_values(y)
    n_way = private_ways(estimator) if n_way is None else n_way
    y = np.asarray(y)
    X, ids, grouped = tasks_to_score(
        X, y, groups, n_way=n_way, n_shot=n_shot, random_state=random_state
    )
    folds = make_folds(
        y,
        ids,
        n_way=n_way,
        n_shot=n_shot,
        n_repeats=n_repeats,
        cv=cv,
        holdout=holdout,
        random_state=random_state,
        grouped=grouped,
    )
    for count, why in shots_left_out(folds, y, ids, n_shot, n_way).items():
        warnings.warn(
            f"n_shot={count} was left out: {why}. Leave it out of n_shot, or bring larger tasks.",
            MetasklWarning,
            stacklevel=2,
        )
    parts = Parallel(n_jobs=n_jobs)(
        delayed(score_fold)(estimator, X, y, ids, fold, scorer) for fold in folds
    )
    scores: pd.DataFrame = pd.concat(parts, ignore_index=True)
    scores.attrs["metric"] = metric_name(scoring, classification=is_classifier(estimator))
    scores.attrs["transductive"] = any(part.attrs["transductive"] for part in parts)
    scores.attrs["lower_is_better"] = getattr(scorer, "_sign", 1) < 0
    return scores


def check_adapts(estimator: Any, name: str = "estimator") -> None:
    """Refuse an estimator that cannot be adapted, before any time is spent on it.

    Raises
    ------
    ParameterError
        If it has no ``adapt`` and holds nothing that has.
    """
    if isinstance(estimator, Pipeline) and estimator.steps:
        check_adapts(estimator.steps[-1][1], name)
    elif isinstance(estimator, BaseSearchCV | FrozenEstimator):
        check_adapts(estimator.estimator, name)
    elif isinstance(estimator, TransformedTargetRegressor):
        check_adapts(estimator.regressor, name)
    elif isinstance(estimator, type) or not _adapts(estimator):
        what = (
            f"the class {estimator.__name__}; give an object, {estimator.__name__}()"
            if isinstance(estimator, type)
            else named(estimator)
        )
        raise ParameterError(
            f"{name} must be able to adapt to a task, got {what}. Wrap an ordinary estimator: "
            "PerTask(model) fits one to each task, Pooled(model) one to all of them."
        )


def _adapts(estimator: Any) -> bool:
    registered = adapt.dispatch(type(estimator)) is not adapt.dispatch(object)
    return registered or hasattr(estimator, "adapt")


def private_ways(estimator: Any) -> int | None:
    """Return the number of classes of an episode, or None where tasks share their classes."""
    if isinstance(estimator, Pipeline):
        return private_ways(estimator.steps[-1][1])
    if hasattr(estimator, "label_space"):
        return int(estimator.n_way) if estimator.label_space == "task" else None
    if isinstance(several := getattr(estimator, "estimators", None), list) and several:
        return private_ways(several[0])  # an ensemble, whose members share their classes or not
    inner = getattr(estimator, "estimator", None)  # a wrapper, a search, a frozen estimator
    return None if inner is None else private_ways(inner)


def score_fold(
    estimator: Any, X: Any, y: Array, ids: Array, fold: Fold, scorer: Any
) -> pd.DataFrame:
    """Fit on a fold's rows and score its draws."""
    warm_up()
    start = time.perf_counter()
    fitted = fit_rows(clone(estimator), X, y, fold.told(ids), fold.train)
    fitting = time.perf_counter() - start
    with threads_for(max(len(draw.support) for draw in fold.draws)):
        rows = score_draws(fitted, X, y, fold.draws, scorer, seen=fold.seen)
    scoring = time.perf_counter() - start - fitting
    scores = pd.DataFrame(rows)
    scores.insert(0, "fold", fold.number)
    scores.attrs["transductive"] = is_transductive(fitted)
    return scores.assign(fit_time=fitting, score_time=scoring)


def fit_rows(estimator: Any, X: Any, y: Array, ids: Array | None, rows: Array) -> Any:
    """Fit on some of the rows, which hold whole tasks, or classes where there are no ids."""
    groups = None if ids is None else ids[rows]
    with threads_for(len(rows)):
        return fit_on_tasks(estimator, _safe_indexing(X, rows), y[rows], groups)


def fit_on_tasks(estimator: Any, X: Any, y: Any, groups: Any) -> Any:
    """Fit with task ids, through Pipelines and searches too, whatever the user's routing is."""
    with config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", GroupsWarning)  # said once, of the whole table
        # A pipeline whose last step asks for no task ids takes none, not even None.
        return estimator.fit(X, y, **({} if groups is None else {"groups": groups}))
