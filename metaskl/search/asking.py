"""Trials asked of Optuna, evaluated by scikit-learn, and told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from metaskl.errors import ParameterError, did_you_mean
from metaskl.evaluation.draws import check_count
from metaskl.search.optuna_door import optuna


def ask_and_tell(
    study: Any,
    space: dict[str, Any],
    evaluate: Callable[[list[dict[str, Any]]], Any],
    *,
    n_trials: int,
    time_budget: float | None,
    width: int,
) -> None:
    """Make trials, `width` at a time, until their number or the time is spent.

    Parameters
    ----------
    study : optuna.Study
        What proposes, and is told the scores.
    space : dict
        Names of hyper-parameters to Optuna distributions.
    evaluate : callable
        Takes a list of candidates, and returns ``cv_results_`` of all so far.
    n_trials : int
        Trials.
    time_budget : float or None
        Seconds after which no further trial starts, but for the first.
    width : int
        Trials to evaluate at once.
    """
    start, asked, evaluated = time.monotonic(), 0, 0
    last_error: BaseException | None = None
    while asked < n_trials:
        if asked and time_budget is not None and time.monotonic() - start >= time_budget:
            break
        trials = [study.ask(space) for _ in range(min(width, n_trials - asked))]
        asked += len(trials)
        try:
            results = evaluate([trial.params for trial in trials])
        except BaseException as error:
            _tell(study, trials, [math.nan] * len(trials))
            if not _all_fits_failed(error):
                raise
            last_error = error
            continue
        over = _tell(study, trials, results["mean_test_score"][evaluated:])
        evaluated += len(trials)
        if over:
            break
    if last_error is not None and not evaluated:
        raise last_error


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


def check_settings(
    estimator: Any, n_trials: Any, time_budget: float | None, random_state: Any
) -> None:
    """Refuse settings out of range, before any time is spent.

    Raises
    ------
    ValueError
        It names the setting.
    """
    check_count("n_trials", n_trials)
    check_count("random_state", random_state, 0)
    check_budget(time_budget)
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise ParameterError(
            f"estimator must be an estimator, got {estimator!r}. Give an object, such as "
            "MAMLRegressor()."
        )


def enqueue_first(study: Any, estimator: Any, space: dict[str, Any]) -> None:
    """Have the estimator's own settings tried first, or the best of an earlier search."""
    if any(trial.value is not None for trial in study.get_trials(deepcopy=False)):
        study.enqueue_trial(study.best_params)
        return
    own = estimator.get_params()
    if own.keys() >= space.keys() and all(_holds(d, own[name]) for name, d in space.items()):
        study.enqueue_trial({name: own[name] for name in space})


def require_parameters(estimator: Any, space: dict[str, Any]) -> None:
    """Raise if a name of the space is no hyper-parameter, before a trial is made.

    Raises
    ------
    ParameterError
        It names the one, and those there are.
    """
    known = estimator.get_params()
    for name in space:
        first, _, rest = name.partition("__")
        if name not in known and not (rest and first in known):
            raise ParameterError(
                f"space must name hyper-parameters of {type(estimator).__name__}, got {name!r}."
                f"{did_you_mean(name, list(known))} Known are {', '.join(sorted(known))}."
            )


def _holds(distribution: Any, value: Any) -> bool:
    """Say whether a distribution has a value."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def _tell(study: Any, trials: list[Any], scores: Any) -> bool:
    """Tell the scores; return whether the sampler has no more to propose, as a grid in the end."""
    over = False
    failed = optuna().trial.TrialState.FAIL
    for trial, score in zip(trials, scores, strict=True):
        try:
            if math.isfinite(score):
                study.tell(trial, float(score))
            else:
                study.tell(trial, state=failed)
        except RuntimeError as error:  # it asks Study.optimize to stop, which is not there
            if "Study.stop" not in str(error):
                raise
            over = True
    return over


def _all_fits_failed(error: BaseException) -> bool:
    """Say whether scikit-learn raised because none of a candidate's fits succeeded."""
    return isinstance(error, ValueError) and "fits failed" in str(error)
