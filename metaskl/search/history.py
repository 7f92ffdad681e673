"""What a trial takes along of those before it: all that its pruners have to know."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from metaskl.search._optuna import TrialState
from metaskl.search.pruning import Earlier
from metaskl.search.result import notes_of
from metaskl.search.spaces import LEARNER
from metaskl.search.trial import Rules


def history_for(
    study: Any, rules: Rules, learner: str, units: list[int]
) -> tuple[list[float] | None, list[Earlier], list[list[float]]]:
    """Return the best trial's units, the learner's trials by epoch, and the scores at each rung."""
    best: list[float] | None = None
    if len(study.directions) > 1:  # a trial that scores worse may still be faster
        return best, [], []
    if rules.pruning.tasks is not None:
        best = _best_units(study, units)
    if rules.pruning.epochs is None and not rules.fidelity:
        return best, [], []
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    alike = [_earlier(trial) for trial in done if notes_of(trial).get(LEARNER) == learner]
    reached = [notes_of(trial).get("rungs", []) for trial in done]
    rungs = [
        [scores[k] for scores in reached if len(scores) > k] for k in range(len(rules.fidelity))
    ]
    return best, [earlier for earlier in alike if earlier.steps], rungs


def _best_units(study: Any, units: list[int]) -> list[float] | None:
    """Return the best trial's score of each unit, given the number of draws of each."""
    try:
        best = study.best_trial
    except ValueError:
        return None
    scores = np.array([np.nan if s is None else s for s in notes_of(best)["scores"]], dtype=float)
    parts = np.split(scores, np.cumsum(units)[:-1])
    return [float(np.nanmean(p)) if np.isfinite(p).any() else math.nan for p in parts]


def _earlier(trial: Any) -> Earlier:
    value = trial.values[0] if trial.values else 0.0
    pruned = trial.state == TrialState.PRUNED
    system = {k: v for k, v in trial.system_attrs.items() if k.startswith("completed_rung_")}
    return Earlier(dict(trial.intermediate_values), float(value), pruned, system)
