"""One trial: fit on the folds' training tasks, score their draws in batches of tasks."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone

from metaskl._compat import threads_for
from metaskl.errors import DivergenceError
from metaskl.evaluation.answers import score_draws
from metaskl.evaluation.cross_validate import fit_rows
from metaskl.evaluation.draws import Draw
from metaskl.evaluation.folds import Array
from metaskl.evaluation.protocol import Protocol
from metaskl.search.pruning import Earlier, Pruning, Rival, TaskRival
from metaskl.search.watching import (
    OutOfTime,
    PrunedByEpoch,
    Watch,
    after_each_epoch,
    scale_epochs,
)

# Tasks of a fold that are scored before a pruner is asked first; then twice as many, and so on.
_FIRST_BATCH = 5
# The share of the trials of a rung that goes on to the next.
_SURVIVORS = 1 / 3


@dataclass(frozen=True)
class Unit:
    """A task of a fold, with its draws: what trials are paired by."""

    fold: int
    task: Any
    draws: tuple[Draw, ...]


def units_of(protocol: Protocol) -> list[Unit]:
    """Return the units in the order in which every trial scores them: random, but the same."""
    found = []
    for fold in protocol.folds:
        of_task: dict[Any, list[Draw]] = {}
        for draw in fold.draws:
            of_task.setdefault(draw.task, []).append(draw)
        tasks = list(of_task)
        order = np.random.default_rng([protocol.random_state, fold.number]).permutation(len(tasks))
        found += [Unit(fold.number, tasks[i], tuple(of_task[tasks[i]])) for i in order]
    return found


@dataclass(frozen=True)
class Rules:
    """What holds for every trial of a study.

    Attributes
    ----------
    pruning : Pruning
        The pruners.
    fidelity : tuple of float
        Shares of tasks and epochs of the rungs before the whole.
    memory : int or None
        Bytes that a trial's process may hold.
    """

    pruning: Pruning
    fidelity: tuple[float, ...] = ()
    memory: int | None = None


@dataclass(frozen=True)
class Job:
    """A trial on its way to a worker: all but the data, which are named by their file.

    Attributes
    ----------
    number : int
        The trial's.
    learner : str
        The candidate's name.
    estimator : estimator
        Unfitted, with the trial's values.
    data : Protocol or str
        What to score on, or the file that holds it.
    scorer : callable
        The scorer, apart from the data since it may be a function of the user's own.
    rules : Rules
        What holds for every trial.
    best : list of float or None
        Scores of the best trial so far, unit by unit.
    earlier : list of Earlier
        Trials of the same learner, by epoch.
    rungs : list of list of float
        Scores of earlier trials at each rung.
    seconds : float or None
        Time left.
    """

    number: int
    learner: str
    estimator: Any
    data: Any
    scorer: Any
    rules: Rules
    best: list[float] | None = None
    earlier: list[Earlier] = field(default_factory=list)
    rungs: list[list[float]] = field(default_factory=list)
    seconds: float | None = None


@dataclass
class Outcome:
    """What came of a trial.

    Attributes
    ----------
    number : int
        The trial's.
    state : {"complete", "pruned", "failed", "stopped"}
        How it ended; a stopped one ran out of time and waits for its turn again.
    value : float
        The mean score over units; of a trial pruned by task what it would have been.
    scores : list of float
        Of each draw, in the order of the units; those not reached are left out at the end.
    adapt_time : float
        Seconds of adapting to a draw and predicting its query, on average.
    seconds : float
        What the trial took.
    n_scored : int
        Units that were scored.
    steps : dict of int to float
        Meta-validation loss after each epoch, with its sign changed.
    system : dict
        What the pruner by epoch noted.
    rungs : list of float
        Scores at the rungs.
    error : str
        Why it failed.
    """

    number: int
    state: str = "complete"
    value: float = float("nan")
    scores: list[float] = field(default_factory=list)
    adapt_time: float = float("nan")
    seconds: float = 0.0
    n_scored: int = 0
    steps: dict[int, float] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)
    rungs: list[float] = field(default_factory=list)
    error: str = ""


def run_trial(job: Job) -> Outcome:
    """Run a trial to its end, whatever that is; it writes nowhere and may be run again.

    Parameters
    ----------
    job : Job
        The trial.

    Returns
    -------
    Outcome
        What came of it; a fault of the candidate is told there and not raised.
    """
    start = time.perf_counter()
    outcome = Outcome(job.number)
    try:
        _Run(job, outcome).run()
    except OutOfTime:
        outcome.state = "stopped"
    except PrunedByEpoch:
        outcome.state = "pruned"
    except DivergenceError as error:  # as bad as can be: the sampler shall keep away from there
        outcome.state, outcome.error = "pruned", str(error)
    except Exception as error:  # noqa: BLE001 - a candidate's fault is no reason to lose the rest
        outcome.state, outcome.error = "failed", f"{type(error).__name__}: {error}"
    outcome.seconds = time.perf_counter() - start
    return outcome


class _Run:
    """A trial while it runs."""

    def __init__(self, job: Job, outcome: Outcome) -> None:
        self.job = job
        self.outcome = outcome
        self.protocol = load_data(job.data) if isinstance(job.data, str) else job.data
        self.units = units_of(self.protocol)
        self.watch = Watch(job.seconds, job.rules.memory)
        self.rival = TaskRival(job.rules.pruning.tasks, job.best)
        by_epoch = job.rules.pruning.epochs
        self.by_epoch = None if by_epoch is None else Rival(by_epoch, job.earlier)
        self.fraction = 1.0
        self.adapting = 0.0

    def run(self) -> None:
        """Go up the rungs, then score all folds."""
        self.watch.look()
        for number, fraction in enumerate(self.job.rules.fidelity):
            self.fraction = fraction
            fold = self.protocol.folds[0]
            units = [unit for unit in self.units if unit.fold == fold.number]
            score = _mean(self._score(self._fit(fold), units, keep=False))
            self.outcome.rungs.append(score)
            earlier = self.job.rungs[number] if number < len(self.job.rungs) else []
            if _falls(score, earlier):
                self.outcome.state, self.outcome.value = "pruned", score
                return
        self.fraction = 1.0
        self._score_folds()

    def _score_folds(self) -> None:
        found: dict[int, float] = {}
        for fold in self.protocol.folds:
            fitted = self._fit(fold)
            inside = [i for i, unit in enumerate(self.units) if unit.fold == fold.number]
            for batch in _batches(inside):
                self.watch.look()
                scores = self._score(fitted, [self.units[i] for i in batch])
                new = dict(zip(batch, scores, strict=True))
                found |= new
                self.outcome.n_scored = len(found)
                last = len(found) == len(self.units)
                if self.rival.is_beaten(new) and not last:
                    self.outcome.state, self.outcome.value = "pruned", self.rival.predicted()
                    self._time()
                    return
        self._time()
        self.outcome.value = _mean(list(found.values()))
        if not np.isfinite(self.outcome.value):
            raise ValueError("the score is not a number on any task")

    def _time(self) -> None:
        self.outcome.adapt_time = self.adapting / max(len(self.outcome.scores), 1)

    def _fit(self, fold: Any) -> Any:
        estimator = clone(self.job.estimator)
        rows = fold.train
        if self.fraction < 1:
            estimator = scale_epochs(estimator, self.fraction)
            rows = _share_of_tasks(rows, self.protocol, self.fraction)
        estimator = after_each_epoch(estimator, self._epoch)
        return fit_rows(estimator, self.protocol.X, self.protocol.y, self.protocol.ids, rows)

    def _epoch(self, history: Any) -> None:
        self.watch.look()
        loss = history[-1].get("valid_loss")
        if self.by_epoch is None or loss is None or self.fraction < 1:
            return
        step = len(self.outcome.steps)
        self.outcome.steps[step] = self.outcome.value = -float(loss)
        beaten = self.by_epoch.is_beaten({step: -float(loss)})
        self.outcome.system = self.by_epoch.system
        if beaten:
            raise PrunedByEpoch

    def _score(self, fitted: Any, units: list[Unit], *, keep: bool = True) -> list[float]:
        """Return the mean score of each unit over its draws."""
        draws = [draw for unit in units for draw in unit.draws]
        protocol = self.protocol
        start = time.perf_counter()
        with threads_for(max(len(draw.support) for draw in draws)):
            rows = score_draws(fitted, protocol.X, protocol.y, draws, self.job.scorer)
        scores = [row["score"] for row in rows]
        if keep:
            self.adapting += time.perf_counter() - start
            self.outcome.scores += scores
        ends = np.cumsum([len(unit.draws) for unit in units])[:-1]
        return [_mean(part) for part in np.split(np.asarray(scores, dtype=float), ends)]


@lru_cache(maxsize=2)
def load_data(path: str) -> Protocol:
    """Return what trials are scored on, read once a process; arrays stay in the file until used."""
    found: Protocol = joblib.load(path, mmap_mode="r")
    return found


def _mean(scores: Any) -> float:
    values = np.asarray(scores, dtype=float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _batches(numbers: list[int]) -> list[list[int]]:
    """Split a fold's units into batches that double in size."""
    found, size = [], _FIRST_BATCH
    while numbers:
        found.append(numbers[:size])
        numbers, size = numbers[size:], 2 * size
    return found


def _falls(score: float, earlier: list[float]) -> bool:
    """Say whether a score is not among the best third of those at its rung."""
    if not np.isfinite(score):
        return True
    if len(earlier) < round(1 / _SURVIVORS):
        return False
    kept = max(1, round(len(earlier) * _SURVIVORS))
    return score < sorted(earlier, reverse=True)[kept - 1]


def _share_of_tasks(rows: Array, protocol: Protocol, fraction: float) -> Array:
    """Return the rows of a share of the training tasks, four at least; the same for every trial."""
    ids = protocol.ids[rows]
    tasks = np.unique(ids)
    order = np.random.default_rng(protocol.random_state).permutation(len(tasks))
    n_kept = min(len(tasks), max(4, round(fraction * len(tasks))))
    return rows[np.isin(ids, tasks[order[:n_kept]])]
