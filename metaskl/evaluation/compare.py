"""Compare every learner and baseline on the same draws, and reach the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metaskl.errors import GroupsError, ParameterError, TaskError
from metaskl.evaluation.candidates import (
    broken_learners,
    choose_baselines,
    join_candidates,
    make_learners,
    target_kind,
    with_preprocess,
)
from metaskl.evaluation.comparison import Comparison
from metaskl.evaluation.draws import check_n_shot
from metaskl.evaluation.flatten import n_axes
from metaskl.evaluation.folds import Array, make_folds, shots_left_out
from metaskl.evaluation.running import no_candidate, run_candidates
from metaskl.evaluation.scoring import metric_name, resolve_scorer
from metaskl.evaluation.verdict import reach_verdict
from metaskl.tasks import require_groups
from metaskl.tasks.groups import are_private


def compare(
    X: Any,
    y: Any,
    groups: Any,
    *,
    learners: Any = "all",
    baselines: Any = "all",
    n_shot: Any = (5, 10, 20),
    n_repeats: int = 3,
    cv: Any = 3,
    holdout: str = "tasks",
    scoring: Any = None,
    kind: str = "auto",
    label_space: str = "shared",
    n_way: int = 5,
    learner_params: dict[str, Any] | None = None,
    preprocess: Any = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> Comparison:
    """Compare meta-learners with the baselines on held-out tasks, and say whether it pays.

    Every candidate is trained on the same tasks, adapts to the same support rows and is scored
    on the same queries. The verdict compares the best learner with the best baseline at each
    shot count; each is chosen on the other folds, so that neither profits from luck on the
    tasks that it is judged on.

    Parameters
    ----------
    X : array-like or data frame of shape (n_rows, ...)
        Features.
    y : array-like of shape (n_rows,)
        Targets.
    groups : array-like of shape (n_rows,), or str
        Task ids, or the name of the column of `X` that holds them.
    learners : "all", list of str or dict of str to estimator, default="all"
        Registered learners, or estimators of your own by name.
    baselines : "all", list of str or dict of str to estimator, default="all"
        Pooled, per-task and shrunk models. For regression they are called ``"pooled ridge"``,
        ``"pooled forest"``, ``"pooled boosting"``, ``"per-task ridge"``, ... ``"shrunk boosting"``;
        for classification ``logistic`` takes the place of ``ridge``. With
        ``label_space="task"`` there are the three per-task ones. Of pictures they see the pixels
        as columns. A list keeps those named; the verdict then says that it holds against the
        baselines given.
    n_shot : int, float or sequence of them, default=(5, 10, 20)
        Labelled rows of a task; see :func:`cross_validate_tasks`. Counts that no task is large
        enough for are named in the verdict.
    n_repeats : int, default=3
        Draws of support and query for each task.
    cv : int or scikit-learn splitter over groups, default=3
        Folds over tasks, or the number of random splits with ``holdout="rows"``.
    holdout : {"tasks", "rows"}, default="tasks"
        Whether whole tasks are held out, or rows of tasks that are all seen.
    scoring : str or callable, optional
        A scikit-learn scorer. By default accuracy, or minus the root mean squared error.
    kind : {"auto", "regression", "classification"}, default="auto"
        What the targets are.
    label_space, n_way
        As in the classifiers.
    learner_params : dict, optional
        Hyper-parameters of registered learners: of the training, such as ``max_epochs``, for
        all of them; a learner's own, such as ``inner_lr``, for those that have it.
    preprocess : transformer, optional
        Put before every candidate, and fitted on the training tasks of each fold alone.
    n_jobs : int, optional
        Fits in parallel, by joblib.
    random_state : int, default=0
        Seed.
    verbose : int, default=0
        1 shows a progress bar, and the seconds that each candidate took.

    Returns
    -------
    Comparison
        Scores, leaderboard and verdict; ``print`` shows both. A candidate that fails is named
        in ``failures`` and the rest goes on.

    Raises
    ------
    ValueError
        If the task ids do not fit, a name is unknown, a candidate cannot adapt, or no candidate
        can be fitted.

    Examples
    --------
    >>> from metaskl import compare
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(20, 30, random_state=0)
    >>> result = compare(lines.X, lines.y, lines.groups, learners=["ridge_head"],
    ...                  baselines=["pooled ridge", "per-task ridge"], n_shot=(2, 20), cv=2,
    ...                  learner_params={"max_epochs": 2})
    >>> sorted(result.scores["candidate"].unique())
    ['per-task ridge', 'pooled ridge', 'ridge_head']
    """
    private = label_space == "task"
    if private and groups is None:
        raise GroupsError(
            "groups must name groups of related classes with label_space='task' (the alphabet of "
            "a character, the domain of an intent), got None: whole groups are held out. Where "
            "there are none, fit without groups and score classes that were not seen with "
            "metaskl.evaluation.episode_scores."
        )
    X, ids = require_groups(X, groups)
    y = np.asarray(y)
    _check_settings(kind, label_space, learners, learner_params)
    if kind == "auto":
        kind = "classification" if private else target_kind(y)
    if kind == "classification" and not private:
        _refuse_private_classes(y, ids, holdout, learners)
    scorer = resolve_scorer(scoring, classification=kind == "classification")
    ways = n_way if private else None
    folds = make_folds(
        y,
        ids,
        n_way=ways,
        n_shot=n_shot,
        n_repeats=n_repeats,
        cv=cv,
        holdout=holdout,
        random_state=random_state,
    )
    asked = check_n_shot(n_shot, fractions=True)
    parameters = _learner_defaults(asked, ids, random_state)
    if private:
        parameters |= {"label_space": "task", "n_way": n_way}
    candidates, families = join_candidates(
        make_learners(learners, kind=kind, **parameters | (learner_params or {})),
        choose_baselines(
            baselines, kind, private_labels=private, pictures=n_axes(X) > 2, seed=random_state
        ),
    )
    if not candidates:
        raise ParameterError(
            f"learners and baselines must name at least one candidate, got {learners!r} and "
            f"{baselines!r}. Leave them out to compare all."
        )
    candidates = with_preprocess(candidates, preprocess)
    scores, seconds, failures = run_candidates(
        candidates, X, y, ids, folds, scorer, n_jobs=n_jobs, verbose=verbose
    )
    if scores.empty:
        raise no_candidate(failures, preprocess, X, y, folds)
    if isinstance(learners, str) and learners == "all":
        failures = broken_learners() | failures
    lower = getattr(scorer, "_sign", 1) < 0
    metric = metric_name(scoring, classification=kind == "classification")
    all_baselines = isinstance(baselines, str) and baselines == "all"
    left_out = shots_left_out(folds, y, ids, n_shot, ways)
    return Comparison(
        scores=scores,
        families={name: families[name] for name in scores["candidate"].unique()},
        verdict=reach_verdict(
            scores,
            families,
            metric=metric,
            lower_is_better=lower,
            condition="" if all_baselines else "against the baselines given",
            left_out=left_out,
            failures=failures,
        ),
        metric=metric,
        lower_is_better=lower,
        protocol={
            "holdout": holdout,
            "folds": cv if isinstance(cv, int) else len({fold.number for fold in folds}),
            "repeats": n_repeats if holdout == "tasks" else 1,
            "n_shot": [k for k in asked if k not in left_out],
            "n_shot_left_out": list(left_out),  # no task is large enough
            "n_tasks": len(np.unique(ids)),
            "n_rows": len(y),
            "kind": kind,
            "transductive": bool(scores.attrs["transductive"]),
            "transductive_candidates": scores.attrs["transductive"],
            "random_state": random_state,
        },
        failures=failures,
        seconds=seconds,
    )


def _check_settings(kind: str, label_space: str, learners: Any, learner_params: Any) -> None:
    """Refuse settings that would be taken for others, or silently have no effect."""
    for name, value, known in (
        ("kind", kind, ("auto", "regression", "classification")),
        ("label_space", label_space, ("shared", "task")),
    ):
        if value not in known:
            raise ParameterError(f"{name} must be one of {known}, got {value!r}.")
    if kind == "regression" and label_space == "task":
        raise ParameterError(
            "label_space must be 'shared' for regression, got 'task': numbers are no classes. "
            "Leave it out, or set kind='classification'."
        )
    if learner_params and isinstance(learners, Mapping):
        raise ParameterError(
            "learner_params must be left out where learners are estimators of your own, got "
            f"{sorted(learner_params)}. Set them on the estimators."
        )


def _refuse_private_classes(y: Array, ids: Array, holdout: str, learners: Any) -> None:
    """Refuse shared classes where a held-out task has none that were seen."""
    if holdout == "tasks" and not isinstance(learners, Mapping) and are_private(y, ids):
        raise TaskError(
            "label_space must be 'task' where each class lies in one task only, got 'shared': a "
            "held-out task would have none of the classes seen in training. Set "
            "label_space='task' (with n_way)."
        )


def _learner_defaults(
    shots: tuple[int | float, ...], ids: Array, random_state: int
) -> dict[str, Any]:
    """Return the training of learners that will meet these support sizes."""
    typical = float(np.median(np.unique(ids, return_counts=True)[1]))
    rows = [k if isinstance(k, int) else max(1, round(k * typical)) for k in shots]
    span = (min(rows), max(rows))
    return {"n_shot": span if span[0] < span[1] else span[0], "random_state": random_state}
