"""Cross-validation over tasks, at several shot counts."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from metaskl.errors import TaskError
from metaskl.evaluation.answers import Array, metric_name, resolve_scorer, score_draws
from metaskl.evaluation.draws import Draw, check_n_shot, draw_classes, draw_rows
from metaskl.tasks import require_groups


def cross_validate_tasks(
    estimator: Any,
    X: Any,
    y: Any,
    groups: Any,
    *,
    n_shot: Any = (5, 10, 20),
    n_repeats: int = 3,
    cv: int = 5,
    holdout: str = "tasks",
    scoring: Any = None,
    n_way: int | None = None,
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
    groups : array-like of shape (n_rows,), or str
        Task ids, or the name of the column of `X` that holds them.
    n_shot : int, float or sequence of them, default=(5, 10, 20)
        Labelled rows of a held-out task; rows of each class with ``label_space="task"``.
        Fractions of a task's rows are allowed with ``holdout="rows"``.
    n_repeats : int, default=3
        Draws of support and query for each task (``holdout="tasks"``).
    cv : int, default=5
        Folds over tasks, or with ``holdout="rows"`` random splits of the rows.
    holdout : {"tasks", "rows"}, default="tasks"
        What is held out.
    scoring : str or callable, optional
        A scikit-learn scorer, greater is better. By default accuracy, or minus the root mean
        squared error.
    n_way : int, optional
        Classes of an episode, where classes are private to a task. By default the estimator's
        own, if it has ``label_space="task"``; give it for a baseline that is to be scored on
        the same episodes.
    n_jobs : int, optional
        Folds in parallel, by joblib.
    random_state : int, default=0
        Seed of folds and draws: the same supports for every estimator.

    Returns
    -------
    DataFrame
        One row a fold, task, repeat and shot count, with ``n_support``, ``n_query``,
        ``score`` (NaN where it is not defined) and ``fit_time`` in seconds.

    Raises
    ------
    ValueError
        If the task ids do not fit, or no task is large enough for any shot count.

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
    X, ids = require_groups(X, groups)
    folds = make_folds(
        y,
        ids,
        n_way=private_ways(estimator) if n_way is None else n_way,
        n_shot=n_shot,
        n_repeats=n_repeats,
        cv=cv,
        holdout=holdout,
        random_state=random_state,
    )
    scorer = resolve_scorer(scoring, classification=is_classifier(estimator))
    y = np.asarray(y)
    parts = Parallel(n_jobs=n_jobs)(
        delayed(score_fold)(estimator, X, y, ids, fold, scorer) for fold in folds
    )
    scores: pd.DataFrame = pd.concat(parts, ignore_index=True)
    scores.attrs["metric"] = metric_name(scoring, classification=is_classifier(estimator))
    scores.attrs["lower_is_better"] = getattr(scorer, "_sign", 1) < 0
    return scores


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
        With ``n_shot``, ``mean``, ``low``, ``high``, ``n_tasks`` (and `by`). A task's repeats
        are averaged first: the interval is over tasks.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl import shots_curve
    >>> scores = pd.DataFrame({"task": list("aabb"), "n_shot": 5, "score": [1.0, 3.0, 4.0, 6.0]})
    >>> shots_curve(scores)[["mean", "n_tasks"]].to_numpy().tolist()
    [[3.5, 2.0]]
    """
    from metaskl.evaluation.verdict import interval

    keys = ["n_shot"] if by is None else [by, "n_shot"]
    per_task = scores.groupby([*keys, "task"], sort=False)["score"].mean().dropna()
    rows = []
    for key, values in per_task.groupby(level=keys, sort=False):
        mean, low, high = interval(values.to_numpy())
        names = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        rows.append({**names, "mean": mean, "low": low, "high": high, "n_tasks": len(values)})
    return pd.DataFrame(rows)


class Fold:
    """Rows to fit on, and draws to score, of one fold."""

    def __init__(self, number: int, train: Array, draws: list[Draw], *, seen: bool) -> None:
        self.number = number
        self.train = train
        self.draws = draws
        self.seen = seen  # whether the supports are the rows of the fit


def private_ways(estimator: Any) -> int | None:
    """Return the number of classes of an episode, or None where tasks share their classes."""
    if isinstance(estimator, Pipeline):
        return private_ways(estimator.steps[-1][1])
    if hasattr(estimator, "label_space"):
        return int(estimator.n_way) if estimator.label_space == "task" else None
    inner = getattr(estimator, "estimator", None)  # a wrapper, a search, a frozen estimator
    return None if inner is None else private_ways(inner)


def make_folds(
    y: Any,
    ids: Array,
    *,
    n_way: int | None,
    n_shot: Any,
    n_repeats: int,
    cv: int,
    holdout: str,
    random_state: int,
) -> list[Fold]:
    """Split tasks (or rows) into folds with their draws."""
    if holdout not in ("tasks", "rows"):
        raise TaskError(
            f"holdout must be 'tasks' (whole tasks are held out) or 'rows' (every task is seen), "
            f"got {holdout!r}."
        )
    shots = check_n_shot(n_shot, fractions=holdout == "rows")
    n_tasks = len(np.unique(ids))
    enough = n_tasks >= 2 and (cv >= 1 if holdout == "rows" else 2 <= cv <= n_tasks)
    if not enough:
        raise TaskError(
            f"cv must be from 2 to the number of tasks, got cv={cv} for {n_tasks} task(s). "
            "Lower cv, or bring more tasks."
        )
    if holdout == "rows":
        folds = _row_folds(ids, shots, cv, random_state)
    else:
        folds = _task_folds(np.asarray(y), ids, shots, n_way, n_repeats, cv, random_state)
    if not any(fold.draws for fold in folds):
        raise TaskError(
            f"tasks must be larger than the shot count, got n_shot={shots} for tasks of "
            f"{np.unique(ids, return_counts=True)[1].max()} rows at most (a quarter is kept to be "
            "predicted; with label_space='task' n_way classes are needed). Lower n_shot."
        )
    return folds


def score_fold(
    estimator: Any, X: Any, y: Array, ids: Array, fold: Fold, scorer: Any
) -> pd.DataFrame:
    """Fit on a fold's rows and score its draws."""
    start = time.perf_counter()
    fitted = fit_on_tasks(
        clone(estimator), _safe_indexing(X, fold.train), y[fold.train], ids[fold.train]
    )
    fit_time = time.perf_counter() - start
    scores = pd.DataFrame(score_draws(fitted, X, y, fold.draws, scorer, seen=fold.seen))
    scores.insert(0, "fold", fold.number)
    scores["fit_time"] = fit_time
    return scores


def fit_on_tasks(estimator: Any, X: Any, y: Any, groups: Any) -> Any:
    """Fit with task ids, through Pipelines and searches too, whatever the user's routing is."""
    with config_context(enable_metadata_routing=True):
        return estimator.fit(X, y, groups=groups)


def _task_folds(
    y: Array,
    ids: Array,
    shots: tuple[int | float, ...],
    n_way: int | None,
    n_repeats: int,
    cv: int,
    random_state: int,
) -> list[Fold]:
    """Hold out whole tasks."""
    if n_way is not None:
        draws = draw_classes(
            y, ids, shots, n_way=n_way, n_repeats=n_repeats, random_state=random_state
        )
    else:
        draws = draw_rows(ids, shots, n_repeats=n_repeats, random_state=random_state)
    splitter = GroupKFold(cv, shuffle=True, random_state=random_state)
    folds = []
    for number, (train, test) in enumerate(splitter.split(np.zeros(len(ids)), groups=ids)):
        held_out = set(np.unique(ids[test]).tolist())
        inside = [draw for draw in draws if draw.task in held_out]
        folds.append(Fold(number, train, inside, seen=False))
    return [fold for fold in folds if fold.draws]


def _row_folds(
    ids: Array, shots: tuple[int | float, ...], n_splits: int, random_state: int
) -> list[Fold]:
    """Split the rows of every task: one fit for each split and shot count."""
    folds = []
    for split in range(n_splits):
        draws = draw_rows(ids, shots, n_repeats=1, random_state=random_state + split)
        for shot in shots:
            chosen = [draw for draw in draws if draw.n_shot == shot]
            if chosen:
                train = np.concatenate([draw.support for draw in chosen])
                folds.append(Fold(split, train, chosen, seen=True))
    return folds
