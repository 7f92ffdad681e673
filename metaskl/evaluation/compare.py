"""Compare every learner and baseline on the same draws, and reach the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.parallel import Parallel, delayed

from metaskl.errors import CandidateError
from metaskl.evaluation.answers import Array, metric_name, resolve_scorer
from metaskl.evaluation.candidates import (
    broken_learners,
    make_baselines,
    make_learners,
    target_kind,
    with_preprocess,
)
from metaskl.evaluation.comparison import Comparison
from metaskl.evaluation.cross_validate import Fold, make_folds, score_fold
from metaskl.evaluation.draws import check_n_shot
from metaskl.evaluation.verdict import Verdict, chosen_difference
from metaskl.progress import Progress
from metaskl.tasks import require_groups


def compare(
    X: Any,
    y: Any,
    groups: Any,
    *,
    learners: Any = "all",
    baselines: Any = "all",
    n_shot: Any = (5, 10, 20),
    n_repeats: int = 3,
    cv: int = 3,
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
        Pooled, per-task and shrunk models, each over ridge (or logistic regression), a random
        forest and gradient boosting; a list keeps those named.
    n_shot : int, float or sequence of them, default=(5, 10, 20)
        Labelled rows of a task; see :func:`cross_validate_tasks`.
    n_repeats : int, default=3
        Draws of support and query for each task.
    cv : int, default=3
        Folds over tasks, or random splits with ``holdout="rows"``.
    holdout : {"tasks", "rows"}, default="tasks"
        Whether whole tasks are held out, or rows of tasks that are all seen.
    scoring : str or callable, optional
        A scikit-learn scorer. By default accuracy, or minus the root mean squared error.
    kind : {"auto", "regression", "classification"}, default="auto"
        What the targets are.
    label_space, n_way
        As in the classifiers.
    learner_params : dict, optional
        Hyper-parameters of the estimators of registered learners, such as ``max_epochs``.
    preprocess : transformer, optional
        Put before every candidate, and fitted on the training tasks of each fold.
    n_jobs : int, optional
        Fits in parallel, by joblib.
    random_state : int, default=0
        Seed.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    Comparison
        Scores, leaderboard and verdict; ``print`` shows both.

    Raises
    ------
    ValueError
        If the task ids do not fit or no candidate can be fitted.

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
    X, ids = require_groups(X, groups)
    y = np.asarray(y)
    private = label_space == "task"
    if kind == "auto":
        kind = "classification" if private else target_kind(y)
    folds = make_folds(
        y,
        ids,
        n_way=n_way if private else None,
        n_shot=n_shot,
        n_repeats=n_repeats,
        cv=cv,
        holdout=holdout,
        random_state=random_state,
    )
    parameters = _learner_defaults(check_n_shot(n_shot, fractions=True), ids, random_state)
    if private:
        parameters |= {"label_space": "task", "n_way": n_way}
    parameters |= learner_params or {}
    candidates = make_learners(learners, kind=kind, **parameters)
    families = dict.fromkeys(candidates, "learner")
    for name, model in _baselines(baselines, kind, private, random_state).items():
        candidates[name] = model
        families[name] = name.split(" ")[0] if name.split(" ")[0] in _FAMILIES else "baseline"
    candidates = with_preprocess(candidates, preprocess)
    scorer = resolve_scorer(scoring, classification=kind == "classification")
    scores, failures = _run(candidates, X, y, ids, folds, scorer, n_jobs, verbose)
    if isinstance(learners, str) and learners == "all":
        failures = broken_learners() | failures
    asked, scored = check_n_shot(n_shot, fractions=True), set(scores["n_shot"])
    lower = getattr(scorer, "_sign", 1) < 0
    metric = metric_name(scoring, classification=kind == "classification")
    families = {name: families[name] for name in scores["candidate"].unique()}
    return Comparison(
        scores=scores,
        families=families,
        verdict=_verdict(scores, families, metric, lower),
        metric=metric,
        lower_is_better=lower,
        protocol={
            "holdout": holdout,
            "folds": cv,
            "repeats": n_repeats if holdout == "tasks" else 1,
            "n_shot": [k for k in asked if k in scored],
            "n_shot_left_out": [k for k in asked if k not in scored],  # no task is large enough
            "n_tasks": len(np.unique(ids)),
            "n_rows": len(y),
            "kind": kind,
            "transductive": False,
            "random_state": random_state,
        },
        failures=failures,
    )


_FAMILIES = ("pooled", "per-task", "shrunk")


def _baselines(baselines: Any, kind: str, private: bool, seed: int) -> dict[str, Any]:
    if isinstance(baselines, dict):
        return baselines
    every = make_baselines(kind, private_labels=private, seed=seed)
    if baselines == "all":
        return every
    unknown = sorted(set(baselines) - set(every))
    if unknown:
        raise ValueError(
            f"baselines must be among {sorted(every)}, got {unknown}. Or give a dict of your own."
        )
    return {name: every[name] for name in baselines}


def _learner_defaults(
    shots: tuple[int | float, ...], ids: Array, random_state: int
) -> dict[str, Any]:
    """Return the training of learners that will meet these support sizes."""
    typical = float(np.median(np.unique(ids, return_counts=True)[1]))
    rows = [k if isinstance(k, int) else max(1, round(k * typical)) for k in shots]
    span = (min(rows), max(rows))
    return {"n_shot": span if span[0] < span[1] else span[0], "random_state": random_state}


def _run(
    candidates: dict[str, Any],
    X: Any,
    y: Array,
    ids: Array,
    folds: list[Fold],
    scorer: Any,
    n_jobs: int | None,
    verbose: int,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Fit and score every candidate on every fold; one that fails is left out and named."""
    jobs = [(name, fold) for name in candidates for fold in folds]
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_try)(candidates[name], X, y, ids, fold, scorer) for name, fold in jobs
    )
    parts, failures = [], {}
    progress = Progress(len(jobs), "compare", "fit", shown=bool(verbose))
    for (name, _), result in zip(jobs, results, strict=True):
        progress.advance(name)
        if isinstance(result, str):
            failures[name] = result
        else:
            parts.append(result.assign(candidate=name))
    progress.close()
    if not parts:
        raise CandidateError(f"no candidate could be fitted: {failures}")
    scores = pd.concat(parts, ignore_index=True)
    return scores[~scores["candidate"].isin(failures)].reset_index(drop=True), failures


def _try(estimator: Any, X: Any, y: Array, ids: Array, fold: Fold, scorer: Any) -> Any:
    """Return a fold's scores, or the reason why there are none."""
    try:
        return score_fold(estimator, X, y, ids, fold, scorer)
    except Exception as error:  # noqa: BLE001 - a candidate's fault is no reason to lose the rest
        return f"{type(error).__name__}: {error}"


def _verdict(scores: pd.DataFrame, families: dict[str, str], metric: str, lower: bool) -> Verdict:
    learners = [name for name, family in families.items() if family == "learner"]
    others = [name for name in families if name not in learners]
    alone = [name for name, family in families.items() if family == "per-task"]
    shots = list(dict.fromkeys(scores["n_shot"]))
    shots.sort()
    found = [
        tuple(d for k in shots if (d := chosen_difference(scores, learners, names, k)) is not None)
        for names in (others, alone)
    ]
    return Verdict(found[0], found[1], metric, lower)
