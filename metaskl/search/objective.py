"""One trial: fit on the folds' training tasks, score their draws in batches of tasks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import clone

from metaskl._compat import threads_for
from metaskl.errors import DivergenceError
from metaskl.evaluation.answers import is_transductive, score_draws
from metaskl.evaluation.cross_validate import fit_rows
from metaskl.evaluation.draws import Draw
from metaskl.evaluation.folds import Array
from metaskl.evaluation.protocol import Protocol
from metaskl.search.averaging import mean_score
from metaskl.search.blaming import reason_of
from metaskl.search.pruning import Rival, TaskRival
from metaskl.search.trial import Job, Outcome
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


def draws_frame(units: list[Unit]) -> pd.DataFrame:
    """Return a row for each draw of the units, in the order of a trial's scores."""
    rows = [(unit.fold, unit.task, d.repeat, d.n_shot) for unit in units for d in unit.draws]
    return pd.DataFrame(rows, columns=["fold", "task", "repeat", "n_shot"])


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
        outcome.state, outcome.error = "failed", reason_of(error, job.learner, job.values)
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
        self.draws = draws_frame(self.units)
        sizes = [len(unit.draws) for unit in self.units]
        self.rival = TaskRival(job.rules.pruning.tasks, job.best, self.draws, sizes)
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
            scores = self._score(self._fit(fold), units, keep=False)
            score = mean_score(draws_frame(units).assign(score=scores))
            self.outcome.rungs.append(score)
            earlier = self.job.rungs[number] if number < len(self.job.rungs) else []
            if _falls(score, earlier):
                self.outcome.state, self.outcome.value = "pruned", score
                return
        self.fraction = 1.0
        self._score_folds()

    def _score_folds(self) -> None:
        for fold in self.protocol.folds:
            fitted = self._fit(fold)
            self.outcome.transductive |= is_transductive(fitted)
            inside = [i for i, unit in enumerate(self.units) if unit.fold == fold.number]
            for batch in _batches(inside):
                self.watch.look()
                self._score(fitted, [self.units[i] for i in batch])
                self.outcome.n_scored += len(batch)
                last = self.outcome.n_scored == len(self.units)
                if not last and self.rival.is_beaten(self.outcome.scores):
                    self.outcome.state, self.outcome.value = "pruned", self.rival.predicted()
                    self._time()
                    return
        self._time()
        self.outcome.value = mean_score(self.draws.assign(score=self.outcome.scores))
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
        protocol = self.protocol
        return fit_rows(estimator, protocol.X, protocol.y, fold.told(protocol.ids), rows)

    def _epoch(self, history: Any) -> None:
        self.watch.look()
        loss = history[-1].get("valid_loss")
        if self.by_epoch is None or loss is None or self.fraction < 1:
            return
        step = len(self.outcome.steps)
        self.outcome.steps[step] = -float(loss)
        beaten = self.by_epoch.is_beaten({step: -float(loss)})
        self.outcome.system = self.by_epoch.system
        if beaten:
            raise PrunedByEpoch

    def _score(self, fitted: Any, units: list[Unit], *, keep: bool = True) -> list[float]:
        """Return the score of each draw of some units."""
        draws = [draw for unit in units for draw in unit.draws]
        protocol = self.protocol
        start = time.perf_counter()
        with threads_for(max(len(draw.support) for draw in draws)):
            rows = score_draws(fitted, protocol.X, protocol.y, draws, self.job.scorer)
        scores = [float(row["score"]) for row in rows]
        if keep:
            self.adapting += time.perf_counter() - start
            self.outcome.scores += scores
        return scores


@lru_cache(maxsize=2)
def load_data(path: str) -> Protocol:
    """Return what trials are scored on, read once a process; arrays stay in the file until used."""
    found: Protocol = joblib.load(path, mmap_mode="r")
    return found


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
