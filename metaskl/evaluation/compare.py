"""Compare every learner and baseline on the same draws, and reach the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np

from metaskl.evaluation.candidates import broken_learners
from metaskl.evaluation.comparison import Comparison
from metaskl.evaluation.draws import Ways
from metaskl.evaluation.protocol import make_protocol
from metaskl.evaluation.running import no_candidate, run_candidates
from metaskl.evaluation.verdict import reach_verdict


def compare(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    learners: Any = "recommended",
    baselines: Any = "all",
    n_shot: Any = (5, 10, 20),
    n_repeats: int = 3,
    cv: Any = 3,
    holdout: str = "tasks",
    scoring: Any = None,
    kind: str = "auto",
    label_space: str = "shared",
    n_way: Ways = 5,
    learner_params: dict[str, Any] | None = None,
    preprocess: Any = None,
    n_jobs: int | None = None,
    random_state: int = 0,
    verbose: int = 0,
) -> Comparison:
    """Compare meta-learners with the baselines on held-out tasks, and say whether it pays.

    Every candidate is trained on the same tasks, adapts to the same support rows and is scored
    on the same queries. The verdict compares the best learner with the best baseline at each
    shot count; the learner is chosen on the other folds, so that it does not profit from luck on
    the tasks that it is judged on.

    Parameters
    ----------
    X : array-like or data frame of shape (n_rows, ...)
        Features.
    y : array-like of shape (n_rows,)
        Targets.
    groups : array-like of shape (n_rows,), or str, optional
        Task ids, or the name of the column of `X` that holds them. May be left out with
        ``label_space="task"``: the classes are dealt out at random into sets of `n_way`, which
        count as the tasks; fits see the classes of all training sets as one pool.
    learners : "recommended", "all", list of str or dict of str to estimator
        By default the five learners to try first
        (:func:`~metaskl.evaluation.recommended_learners`). ``"all"`` takes every registered
        learner, which takes several times as long; or name some, or give
        estimators of your own by name.
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
    label_space : {"shared", "task"}, default="shared"
        Whether all tasks have the same classes, or each its own.
    n_way : int or "all", default=5
        With ``label_space="task"`` the classes of an episode, in training and evaluation.
        ``"all"`` takes those of a held-out task that have a row to spare at the largest of
        its shot counts. Learners are then trained by 5, or as many as a training task of
        each fold has, unless `learner_params` says else; those that have just so many places
        for classes (see the guide on the verdict) fail where a task has more.
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
    protocol = make_protocol(
        X,
        y,
        groups,
        n_shot=n_shot,
        n_repeats=n_repeats,
        cv=cv,
        holdout=holdout,
        scoring=scoring,
        kind=kind,
        label_space=label_space,
        n_way=n_way,
        random_state=random_state,
    )
    candidates, families = protocol.candidates(learners, baselines, learner_params, preprocess)
    scores, seconds, failures = run_candidates(
        candidates,
        protocol.X,
        protocol.y,
        protocol.ids,
        protocol.folds,
        protocol.scorer,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    if scores.empty:
        raise no_candidate(failures, preprocess, protocol.X, protocol.y, protocol.folds)
    if isinstance(learners, str) and learners == "all":
        failures = broken_learners() | failures
    lower, metric = protocol.lower_is_better, protocol.metric
    all_baselines = isinstance(baselines, str) and baselines == "all"
    left_out = protocol.left_out
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
            held_out=protocol.held_out,
            per_class=holdout == "tasks" and protocol.n_way is not None,
        ),
        metric=metric,
        lower_is_better=lower,
        protocol={
            "holdout": holdout,
            "folds": cv if isinstance(cv, int) else len({f.number for f in protocol.folds}),
            "repeats": n_repeats if holdout == "tasks" else 1,
            "n_shot": [k for k in protocol.shots if k not in left_out],
            "n_shot_left_out": list(left_out),  # no task is large enough
            "n_tasks": len(np.unique(protocol.ids)),
            "tasks_are": protocol.held_out,
            "n_rows": len(protocol.y),
            "kind": protocol.kind,
            "n_way": protocol.n_way,  # None where tasks share their classes
            "preprocess": None if preprocess is None else type(preprocess).__name__,
            "transductive": bool(scores.attrs["transductive"]),
            "transductive_candidates": scores.attrs["transductive"],
            "random_state": random_state,
        },
        failures=failures,
        seconds=seconds,
    )
