"""Trials asked of Optuna, evaluated by scikit-learn, and told."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from metaskl.errors import GroupsWarning, OneTaskWarning, ParameterError
from metaskl.estimators.adapt import require_adapts
from metaskl.estimators.base import BaseMetaEstimator
from metaskl.evaluation.class_sets import class_sets, require_a_target_each
from metaskl.evaluation.cross_validate import private_ways
from metaskl.evaluation.draws import check_count
from metaskl.evaluation.scorer import FewShotScorer
from metaskl.search._optuna import TrialState, optuna, tell
from metaskl.search.blaming import sampled
from metaskl.search.finite import n_configurations, n_left, tell_the_end, without_repeats
from metaskl.search.identity import (
    claim,
    mark_of_arrays,
    mark_of_candidates,
    mark_of_settings,
    name_of,
)
from metaskl.search.spaces import Candidate, decode, distribution_of
from metaskl.search.storage import Ownership, create_study, open_storage
from metaskl.tasks.targets import require_values


def ask_and_tell(
    search: Any,
    candidate: Candidate,
    evaluate: Callable[[list[dict[str, Any]]], Any],
    owner: Ownership,
    *,
    width: int,
) -> None:
    """Make trials, `width` at a time, until their number or the time is spent.

    Parameters
    ----------
    search : TaskSearchCV
        The search; its study proposes, and is told the scores.
    candidate : Candidate
        What is searched, with its space.
    evaluate : callable
        Takes a list of candidates, and returns ``cv_results_`` of all so far.
    owner : Ownership
        Whose the trials are.
    width : int
        Trials to evaluate at once.
    """
    study, n_trials, time_budget = search.study_, search.n_trials, search.time_budget
    start, asked, evaluated = time.monotonic(), 0, 0
    last_error: BaseException | None = None
    distributions = {name: distribution_of(d) for name, d in candidate.space.items()}
    budget = math.inf if time_budget is None else time_budget
    while asked < n_trials:
        left = n_left(study, [candidate])
        if asked and (left <= 0 or time.monotonic() - start >= budget):
            break
        n_asked = int(min(width, n_trials - asked, max(1, left)))
        trials = _ask(study, distributions, owner, n_asked)
        asked += len(trials)
        try:
            results = evaluate([decode(candidate.space, trial.params) for trial in trials])
        except KeyboardInterrupt:
            owner.reap(set())
            raise
        except Exception as error:
            _tell(study, trials, [math.nan] * len(trials))
            if not _all_fits_failed(error):
                raise
            last_error = _with_values(error, candidate, trials)
            continue
        over = _tell(study, trials, results["mean_test_score"][evaluated:])
        evaluated += len(trials)
        if over:
            break
    if last_error is not None and not evaluated:
        raise last_error
    if asked < n_trials and left <= 0:
        tell_the_end(asked, n_configurations([candidate]))


def _ask(study: Any, distributions: dict[str, Any], owner: Ownership, n: int) -> list[Any]:
    """Return some trials, each this driver's."""
    try:
        trials = [study.ask(distributions) for _ in range(n)]
        for trial in trials:
            owner.take(trial)
    except KeyboardInterrupt:
        owner.reap(set())
        raise
    return trials


def tasks_of(search: Any, X: Any, y: Any, ids: Any) -> tuple[Any, bool]:
    """Return what to hold out, task ids or none, and whether it is sets of a pool's classes."""
    pool = ids is None and scorer_of(search).n_way is not None
    return (class_sets_of(search, X, y) if pool else ids), pool


def class_sets_of(search: Any, X: Any, y: Any, *, seen: Counter[Any] | None = None) -> Any:
    """Return sets of a pool's classes; two at least, or one to score what was fitted to others."""
    require_values(y)
    require_a_target_each(X, y := np.asarray(y))
    if seen is not None:
        _warn_of_seen_classes(seen, Counter(y.tolist()))
    scorer, least = scorer_of(search), 2 if seen is None else 1
    assert scorer.n_way is not None
    seed, n_shot = search.random_state, scorer.n_shot
    return class_sets(y, n_way=scorer.n_way, n_shot=n_shot, random_state=seed, least=least)


def scorer_of(search: Any) -> FewShotScorer:
    """Return what scores a fold of tasks: every trial on the same episodes."""
    if isinstance(search.scoring, FewShotScorer):
        scorer = copy(search.scoring)
    else:
        draws = {name: getattr(search, name) for name in ("n_shot", "n_repeats", "random_state")}
        scorer = FewShotScorer(search.scoring, **draws)
    if getattr(scorer, "n_way", None) is None:  # as the estimator is given, whatever is searched
        scorer.n_way = private_ways(search.estimator)
    return scorer


def _warn_of_seen_classes(seen: Counter[Any], scored: Counter[Any]) -> None:
    """Warn if a pool's classes that are scored were all seen in fit, in other rows."""
    if scored.keys() <= seen.keys() and scored != seen:
        warnings.warn(
            "y should hold classes that fit has not seen, got none of them: the score says "
            "nothing of new classes. Hold whole classes out, as in cross_validate_tasks.",
            GroupsWarning,
            stacklevel=4,
        )


def require_scores(estimator: Any, scorer: Any, folds: Any, y: Any, ids: Any) -> None:
    """Refuse beforehand what would score nan in every trial.

    Raises
    ------
    ParameterError
        If the estimator does not predict, or cannot adapt.
    TaskError
        If a fold has no task that is large enough.
    """
    if not hasattr(estimator, "predict"):
        raise ParameterError(
            f"estimator must predict, got {type(estimator).__name__}. Put a learner or a model "
            "behind it."
        )
    require_adapts(estimator)
    for _, test in folds:
        scorer.draws(estimator, y[test], ids[test])


def check_budget(time_budget: Any) -> None:
    """Refuse a time budget that is no positive number.

    Raises
    ------
    ParameterError
        If it is none, and not None.
    """
    number = isinstance(time_budget, (int, float)) and not isinstance(time_budget, bool)
    if time_budget is not None and not (number and time_budget > 0):
        raise ParameterError(
            f"time_budget must be a number of seconds above 0, or None, got {time_budget!r}."
        )


def check_settings(search: Any) -> None:
    """Refuse a search's settings out of range, before any time is spent.

    Raises
    ------
    ValueError
        It names the setting.
    """
    check_count("n_trials", search.n_trials)
    check_count("random_state", search.random_state, 0)
    check_budget(search.time_budget)
    if isinstance(search.scoring, list | tuple | set | dict):
        raise ParameterError(
            f"scoring must be one metric, got {search.scoring!r}: the search needs one score to "
            "go by. Give one, and score the best estimator by the others afterwards."
        )
    estimator = search.estimator
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise ParameterError(
            f"estimator must be an estimator, got {estimator!r}. Give an object, such as "
            "MAMLRegressor()."
        )


def marks_of(search: Any, X: Any, y: Any, ids: Any) -> dict[str, str]:
    """Return by what the study of a search is told from those of other data and settings.

    Parameters
    ----------
    search : TaskSearchCV
        The search, with its folds where there are task ids, and its scorer.
    X, y, ids : array-like
        Features, targets, and task ids or None.
    """
    folds = [search.cv] if ids is None else [test.tolist() for _, test in search.cv]
    return {
        "data": mark_of_arrays(X, y, ids),
        "folds or scoring": mark_of_settings(*folds, search.scoring),
    }


def open_study(search: Any, candidate: Candidate, marks: dict[str, str]) -> Any:
    """Return the study of a search: a new one, or that of the same data and settings."""
    marks = marks | {"candidates": mark_of_candidates([candidate])}
    plain = optuna.samplers.TPESampler(seed=search.random_state)
    sampler = search.sampler or without_repeats(plain, [candidate])
    name = search.study_name or name_of(marks)
    study, _ = create_study(open_storage(search.storage), name, ["maximize"], sampler)
    claim(study, marks, {})
    return study


def enqueue_first(study: Any, candidate: Candidate) -> None:
    """Have the estimator's own settings tried first, or the best of an earlier search."""
    if any(trial.value is not None for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(study.best_params)
        return
    own = candidate.defaults()
    if own.keys() == candidate.space.keys():
        study.enqueue_trial(own, skip_if_exists=True)


@contextmanager
def one_task_told_once(estimator: Any, ids: Any) -> Iterator[None]:
    """Warn once, and not in every fit of a search, that a meta-learner is given no task ids."""
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    meta = isinstance(last, BaseMetaEstimator) and not last._private
    if ids is not None or not meta or last.get_metadata_routing().fit.requests["groups"] is False:
        yield
        return
    warnings.warn(
        f"groups must name the task of each row where TaskSearchCV searches a meta-learner, got "
        f"None for {type(last).__name__}: all rows are ONE task, nothing is learned across tasks, "
        "and the search cross-validates over its rows. Pass groups to fit.",
        OneTaskWarning,
        stacklevel=4,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OneTaskWarning)
        yield


def _tell(study: Any, trials: list[Any], scores: Any) -> bool:
    """Tell the scores; return whether the sampler has no more to propose, as a grid in the end."""
    over = False
    for trial, score in zip(trials, scores, strict=True):
        finite = math.isfinite(score)
        value, state = (float(score), None) if finite else (None, TrialState.FAIL)
        over = tell(study, trial, value, state) or over
    return over


def _with_values(error: Exception, candidate: Candidate, trials: list[Any]) -> Exception:
    """Return an error with a note of what was sampled for the trials that raised it."""
    for trial in trials:
        error.add_note(sampled(candidate.name, trial.params, str(error)))
    return error


def _all_fits_failed(error: BaseException) -> bool:
    """Say whether scikit-learn raised because none of a candidate's fits succeeded."""
    return isinstance(error, ValueError) and "fits failed" in str(error)
