"""What enters the contest, and on which folds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold

from metaskl.errors import BudgetWarning, ParameterError
from metaskl.evaluation import recommended_learners
from metaskl.evaluation.class_sets import class_sets
from metaskl.evaluation.draws import Draw, check_count
from metaskl.evaluation.folds import Fold
from metaskl.evaluation.protocol import Protocol, make_protocol
from metaskl.evaluation.scoring import metric_name, resolve_scorer
from metaskl.evaluation.verdict import NOT_TRIED
from metaskl.search.asking import check_budget

Array = npt.NDArray[Any]
_FOLDS_OF_ROWS = 3
_COSTS = {"pooled": 1, "shrunk": 2, "per-task": 3}


def check_settings_of(estimator: Any) -> None:
    """Refuse an automatic estimator's settings before any time is spent.

    Raises
    ------
    ValueError
        It names the setting.
    """
    check_budget(estimator.time_budget)
    if estimator.n_trials is not None:
        check_count("n_trials", estimator.n_trials, 0)
    elif estimator.time_budget is None:
        raise ParameterError(
            "time_budget and n_trials must not both be None: the search would never end. Set "
            "one, for example time_budget=600."
        )
    named = isinstance(estimator.baselines, str) or bool(list(estimator.baselines))
    if not named:
        raise ParameterError(
            f"baselines must name at least one, got {estimator.baselines!r}: what is found shall "
            "not be worse than they are. Leave it out for all."
        )


def protocol_of(estimator: Any, X: Any, y: Array, ids: Array | None) -> Protocol:
    """Return rows, folds and scorer: over tasks, or over the rows of the one task there is."""
    if ids is None and estimator.label_space == "shared":
        return _protocol_of_one_task(estimator, X, y)
    return make_protocol(
        X,
        y,
        ids,
        n_shot=estimator.n_shot,
        n_repeats=estimator.n_repeats,
        cv=cv_of(estimator, _n_tasks(estimator, y, ids)),
        holdout="tasks",
        scoring=estimator.scoring,
        kind=estimator.kind,
        label_space=estimator.label_space,
        n_way=estimator.n_way,
        random_state=estimator.random_state,
    )


def cv_of(estimator: Any, n_tasks: int) -> Any:
    """Return the folds: not more than there are tasks."""
    cv = estimator.cv
    number = isinstance(cv, int) and not isinstance(cv, bool)
    return min(cv, max(2, n_tasks)) if number else cv


def _n_tasks(estimator: Any, y: Array, ids: Array | None) -> int:
    """Return how many tasks there are, or sets of classes."""
    if ids is not None:
        return len(np.unique(ids))
    sets = class_sets(
        y, n_way=estimator.n_way, n_shot=estimator.n_shot, random_state=estimator.random_state
    )
    return len(np.unique(sets))


def _protocol_of_one_task(estimator: Any, X: Any, y: Array) -> Protocol:
    """Return folds over rows, in the form of a comparison with rows held out."""
    n_folds = max(2, min(_FOLDS_OF_ROWS, len(y) // 2))
    seed = check_count("random_state", estimator.random_state, 0)
    splitter = KFold(n_folds, shuffle=True, random_state=seed)
    part = 1 - 1 / n_folds
    folds = [
        Fold(number, train, [Draw(0, number, part, train, test)], seen=True)
        for number, (train, test) in enumerate(splitter.split(np.zeros(len(y))))
    ]
    classification = estimator.kind == "classification"
    scorer = resolve_scorer(estimator.scoring, classification=classification)
    return Protocol(
        X=X,
        y=y,
        ids=np.zeros(len(y), int),
        kind=estimator.kind,
        n_way=None,
        shots=(part,),
        left_out={},
        folds=folds,
        scorer=scorer,
        metric=metric_name(estimator.scoring, classification=classification),
        lower_is_better=getattr(scorer, "_sign", 1) < 0,
        random_state=seed,
    )


def baselines_of(estimator: Any, protocol: Protocol) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the baselines and their families, the quick ones first.

    Those of one's own stay in their order; of the built-in ones a forest or a boosting costs the
    more the more often it is fitted: once, in each of the folds that shrinking needs, or in
    every task and draw.
    """
    found, families = protocol.candidates((), estimator.baselines, None, estimator.preprocess)
    return {name: found[name] for name in sorted(found, key=_cost)}, families


def _cost(name: str) -> int:
    """Return the rank of a baseline's cost."""
    how = name.partition(" ")[0]
    return _COSTS.get(how, 0) if name.endswith((" forest", " boosting")) else 0


def apart_from_slow(baselines: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the baselines that come before the learners, at least one, and those after them."""
    slow = {name: model for name, model in baselines.items() if _cost(name) >= _COSTS["shrunk"]}
    if len(slow) == len(baselines):
        return baselines, {}
    return {name: model for name, model in baselines.items() if name not in slow}, slow


def warn_of_the_untried(contest: Any) -> None:
    """Warn where the time budget ended before every learner was tried."""
    untried = {n for n, why in contest.failures.items() if why.startswith(NOT_TRIED)}
    names = {name.partition(" #")[0]: family for name, family in contest.families.items()}
    learners = [name for name, family in names.items() if family == "learner" and name != "search"]
    waiting = [name for name in learners if name in untried]
    if not waiting or contest.time_left > 0:
        return
    baselines = [name for name, family in names.items() if family != "learner"]
    n_tried = len(learners) - len(waiting), len([n for n in baselines if n not in untried])
    warnings.warn(
        f"time_budget ended before every learner was tried: {n_tried[0]} of {len(learners)} "
        f"learners and {n_tried[1]} of {len(baselines)} baselines were. Not tried: "
        f"{', '.join(waiting)}. Raise time_budget, name fewer learners or baselines, or shorten "
        "their training, for example with learner_params={'max_epochs': 5}.",
        BudgetWarning,
        stacklevel=3,
    )


def one_of_each_model(baselines: dict[str, Any], families: dict[str, str]) -> dict[str, Any]:
    """Return one of each model: of one task its per-task, pooled and shrunk forms are the same."""
    alone = {name: model for name, model in baselines.items() if families[name] == "per-task"}
    return alone or baselines


def learners_of(estimator: Any) -> Any:
    """Return the learners that are to be tried: their names, or estimators by name."""
    wanted = estimator.learners
    if isinstance(wanted, str) and wanted == "auto":
        return recommended_learners(estimator.kind, label_space=estimator.label_space)
    return dict(wanted) if isinstance(wanted, Mapping) else wanted


def describe(estimator: Any, protocol: Protocol, n_tried: int, *, one_task: bool) -> dict[str, Any]:
    """Return how it was measured, as in a comparison."""
    return {
        "holdout": "rows" if one_task else "tasks",
        "folds": len({fold.number for fold in protocol.folds}),
        "repeats": 1 if one_task else estimator.n_repeats,
        "n_shot": [k for k in protocol.shots if k not in protocol.left_out],
        "n_shot_left_out": list(protocol.left_out),
        "n_tasks": len(np.unique(protocol.ids)),
        "tasks_are": protocol.held_out,
        "n_rows": len(protocol.y),
        "kind": protocol.kind,
        "n_way": protocol.n_way,
        "preprocess": None if estimator.preprocess is None else type(estimator.preprocess).__name__,
        "random_state": protocol.random_state,
        "candidates tried": n_tried,
    }
