"""What a trial takes along of those before it: all that its pruners have to know."""

from __future__ import annotations

import math
from typing import Any

from metaskl.search._optuna import TrialState
from metaskl.search.pruning import Earlier
from metaskl.search.result import notes_of
from metaskl.search.spaces import LEARNER
from metaskl.search.trial import Rules


def history_for(
    study: Any, rules: Rules, learner: str
) -> tuple[list[float] | None, list[Earlier], list[list[float]]]:
    """Return the best trial's draws, the learner's trials by epoch, and the scores at each rung."""
    best: list[float] | None = None
    if len(study.directions) > 1:  # a trial that scores worse may still be faster
        return best, [], []
    if rules.pruning.tasks is not None:
        best = _best_scores(study)
    if rules.pruning.epochs is None and not rules.fidelity:
        return best, [], []
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    alike = [_earlier(trial) for trial in done if notes_of(trial).get(LEARNER) == learner]
    reached = [notes_of(trial).get("rungs", []) for trial in done]
    rungs = [
        [scores[k] for scores in reached if len(scores) > k] for k in range(len(rules.fidelity))
    ]
    return best, [earlier for earlier in alike if earlier.steps], rungs


def _best_scores(study: Any) -> list[float] | None:
    """Return the best trial's score of each draw."""
    try:
        best = study.best_trial
    except ValueError:
        return None
    return [math.nan if score is None else float(score) for score in notes_of(best)["scores"]]


def _earlier(trial: Any) -> Earlier:
    value = trial.values[0] if trial.values else 0.0
    pruned = trial.state == TrialState.PRUNED
    system = {k: v for k, v in trial.system_attrs.items() if k.startswith("completed_rung_")}
    return Earlier(dict(trial.intermediate_values), float(value), pruned, system)
