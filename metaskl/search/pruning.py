"""Pruning by task and by epoch: optuna's pruners, asked where the trial runs.

A trial carries with it what its pruner has to know of the others, so that a worker on another
machine needs no way to the storage, and the driver alone writes to it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from metaskl.errors import ParameterError
from metaskl.search._optuna import TrialState, optuna, quiet
from metaskl.search.averaging import mean_score

# Below this p-value of Wilcoxon's signed-rank test a trial is worse than the best one.
_LEVEL = 0.1
# So many tasks at least are compared before a trial may end.
_FIRST_TASKS = 4


@dataclass
class Pruning:
    """Which pruners a study uses.

    Attributes
    ----------
    tasks : BasePruner or None
        Asked after each batch of tasks, of paired scores.
    epochs : BasePruner or None
        Asked after each epoch of meta-training, of the meta-validation loss.
    """

    tasks: Any = None
    epochs: Any = None


def choose_pruning(pruning: Any) -> Pruning:
    """Return the pruners that were asked for by name, or as optuna's own.

    Raises
    ------
    ParameterError
        If it is none.
    """
    if pruning is None:
        return Pruning()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        by_task = optuna.pruners.WilcoxonPruner(p_threshold=_LEVEL, n_startup_steps=_FIRST_TASKS)
    by_epoch = optuna.pruners.MedianPruner(n_startup_trials=4)
    named = {
        "tasks": Pruning(tasks=by_task),
        "epochs": Pruning(epochs=by_epoch),
        "both": Pruning(by_task, by_epoch),
    }
    if isinstance(pruning, str) and pruning in named:
        return named[pruning]
    if isinstance(pruning, optuna.pruners.WilcoxonPruner):
        return Pruning(tasks=pruning)
    if isinstance(pruning, optuna.pruners.BasePruner):
        return Pruning(epochs=pruning)
    raise ParameterError(
        f"pruning must be 'tasks', 'epochs', 'both', None or a pruner of optuna's, got {pruning!r}."
    )


@dataclass
class Earlier:
    """What a pruner has to know of an earlier trial.

    Attributes
    ----------
    steps : dict of int to float
        Its intermediate values, greater is better.
    value : float
        Its final value.
    pruned : bool
        Whether it was pruned.
    system : dict
        What the pruner itself noted.
    """

    steps: dict[int, float]
    value: float = 0.0
    pruned: bool = False
    system: dict[str, Any] = field(default_factory=dict)


class Rival:
    """A trial as its pruner sees it, beside the earlier ones.

    Parameters
    ----------
    pruner : BasePruner
        The pruner.
    earlier : list of Earlier
        The trials to compare with.
    """

    def __init__(self, pruner: Any, earlier: list[Earlier]) -> None:
        with quiet():
            self.study = optuna.create_study(direction="maximize", pruner=pruner)
        for trial in earlier:
            self.study.add_trial(
                optuna.trial.create_trial(
                    state=TrialState.PRUNED if trial.pruned else TrialState.COMPLETE,
                    value=trial.value,
                    intermediate_values=trial.steps,
                    system_attrs=trial.system,
                )
            )
        self.trial = self.study.ask()
        self.steps: dict[int, float] = {}

    def is_beaten(self, steps: dict[int, float]) -> bool:
        """Say whether the trial should end, after some more intermediate values."""
        for step, value in steps.items():
            self.steps[step] = value
            self.trial.report(value, step)
        return bool(steps) and bool(self.trial.should_prune())

    @property
    def system(self) -> dict[str, Any]:
        """What the pruner noted about this trial."""
        return dict(self.study.trials[-1].system_attrs)


class TaskRival:
    """A trial beside the best one, task by task.

    Parameters
    ----------
    pruner : BasePruner or None
        None never prunes.
    best : list of float or None
        The best trial's score of each draw, NaN where it has none.
    draws : DataFrame
        What each draw is of: ``task``, ``n_shot``.
    sizes : list of int
        The number of draws of each unit (a task of a fold).
    """

    def __init__(
        self, pruner: Any, best: list[float] | None, draws: pd.DataFrame, sizes: list[int]
    ) -> None:
        self.draws = draws
        self.ends = np.cumsum(sizes)
        self.best = np.asarray([] if best is None else best, dtype=float)
        self.of_units = self._by_unit(self.best)
        self.rival = None
        known = {unit: score for unit, score in enumerate(self.of_units) if np.isfinite(score)}
        if pruner is not None and known:
            self.rival = Rival(pruner, [Earlier(known, float(np.mean(list(known.values()))))])
        self.n_seen = 0
        self.gap = 0.0

    def is_beaten(self, scores: list[float]) -> bool:
        """Say whether the trial is worse, by its scores of the first draws, whole units of them."""
        if self.rival is None:
            return False
        own = self._by_unit(np.asarray(scores, dtype=float))
        pairs = list(zip(own, self.of_units, strict=False))[self.n_seen :]
        new = {
            unit: score
            for unit, (score, best) in enumerate(pairs, self.n_seen)
            if np.isfinite(score) and np.isfinite(best)
        }
        self.n_seen = len(own)
        differences = np.asarray(scores, dtype=float) - self.best[: len(scores)]
        self.gap = mean_score(self.draws.head(len(scores)).assign(score=differences))
        with warnings.catch_warnings():  # of ties, where the test is no longer exact
            warnings.simplefilter("ignore")
            worse = self.rival.is_beaten(new)
        # The test is one of ranks: a trial a little worse on many tasks and much better on some
        # may be the better one on average, and that is what is searched.
        return worse and self.gap < 0

    def predicted(self) -> float:
        """Return the score that all of the trial would have: the best's, less the gap so far."""
        return mean_score(self.draws.assign(score=self.best)) + self.gap

    def _by_unit(self, scores: Any) -> list[float]:
        """Return the mean score of each unit that is there as a whole."""
        ends = self.ends[self.ends <= len(scores)]
        parts = np.split(scores, ends)[: len(ends)]
        return [float(np.nanmean(p)) if np.isfinite(p).any() else float("nan") for p in parts]
