"""Pruning by task and by epoch: optuna's pruners, asked where the trial runs.

A trial carries with it what its pruner has to know of the others, so that a worker on another
machine needs no way to the storage, and the driver alone writes to it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metaskl.errors import ParameterError
from metaskl.search._optuna import TrialState, optuna, quiet

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
        The best trial's score of each unit (a task of a fold), NaN where it has none.
    """

    def __init__(self, pruner: Any, best: list[float] | None) -> None:
        self.best = None if best is None else np.asarray(best, dtype=float)
        self.rival = None
        if pruner is not None and self.best is not None and np.isfinite(self.best).any():
            known = np.flatnonzero(np.isfinite(self.best))
            steps = {int(unit): float(self.best[unit]) for unit in known}
            self.rival = Rival(pruner, [Earlier(steps, float(self.best[known].mean()))])
        self.seen: dict[int, float] = {}

    def is_beaten(self, scores: dict[int, float]) -> bool:
        """Say whether the trial is worse, after the scores of some more units."""
        if self.rival is None or self.best is None:
            return False
        new = {u: s for u, s in scores.items() if np.isfinite(s) and np.isfinite(self.best[u])}
        self.seen |= new
        with warnings.catch_warnings():  # of ties, where the test is no longer exact
            warnings.simplefilter("ignore")
            worse = self.rival.is_beaten(new)
        # The test is one of ranks: a trial a little worse on many tasks and much better on some
        # may be the better one on average, and that is what is searched.
        return worse and self._gap() < 0

    def predicted(self) -> float:
        """Return the score that all of the trial would have: the best's, less the gap so far."""
        assert self.best is not None
        return float(np.nanmean(self.best)) + self._gap()

    def _gap(self) -> float:
        """Return the mean difference to the best trial on the units seen so far."""
        assert self.best is not None
        return float(np.mean([score - self.best[unit] for unit, score in self.seen.items()]))
