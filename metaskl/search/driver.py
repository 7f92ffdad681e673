"""The driver: it asks the study for trials, joblib runs them, and it alone tells the study."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import joblib
from joblib.parallel import get_active_backend

from metaskl.progress import Progress
from metaskl.search._optuna import TrialState, optuna, put_back, tell
from metaskl.search.finite import n_left
from metaskl.search.history import history_for
from metaskl.search.objective import run_trial
from metaskl.search.result import NOTES
from metaskl.search.spaces import LEARNER, Candidate, suggest
from metaskl.search.storage import Ownership
from metaskl.search.trial import Job, Outcome, Rules

# What joblib's engines raise when a worker process is gone; dask's own class is not imported here.
_WORKER_LOST = frozenset(
    {
        "BrokenProcessPool",
        "CancelledError",
        "FutureCancelledError",
        "FuturesCancelledError",
        "KilledWorker",
        "TerminatedWorkerError",
    }
)
# Seconds between two looks for trials of drivers that died meanwhile.
_REAP_EVERY = 60.0
_STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass
class Budget:
    """When to stop asking.

    Attributes
    ----------
    n_trials : int or None
        Trials of the study, those of earlier calls included.
    seconds : float or None
        Time of this call.
    """

    n_trials: int | None
    seconds: float | None
    start: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Return the seconds that are left, None without a limit."""
        return None if self.seconds is None else self.seconds - (time.monotonic() - self.start)


class Driver:
    """Run a study's trials until the budget is used up.

    Parameters
    ----------
    study : Study
        The study.
    candidates : list of Candidate
        What is searched.
    data : Protocol or str
        What is scored on, or the file that holds it.
    scorer : callable
        The scorer.
    rules : Rules
        Pruning, fidelity, memory.
    budget : Budget
        When to stop.
    n_jobs : int or None
        Trials at a time, by joblib.
    progress : Progress
        Told of each trial.
    """

    def __init__(
        self,
        study: Any,
        candidates: list[Candidate],
        *,
        data: Any,
        scorer: Any,
        rules: Rules,
        budget: Budget,
        n_jobs: int | None,
        progress: Progress,
    ) -> None:
        self.study = study
        self.candidates = candidates
        self.data = data
        self.scorer = scorer
        self.rules = rules
        self.budget = budget
        self.n_jobs = n_jobs
        self.progress = progress
        self.single = len(study.directions) == 1
        self.running: dict[int, tuple[Any, Job]] = {}
        self.interrupted = False
        self.ended = False  # an engine's thread may still ask
        self.exhausted = False  # whether nothing is left to try
        self.overhead = 0.0  # seconds of asking and telling
        self._fault: Exception | None = None
        self._lock = threading.RLock()  # joblib's engines ask from threads of their own
        self._reaped = -math.inf

    def run(self) -> None:
        """Run trials; Ctrl-C ends it, and what was running waits for another call."""
        with Ownership(self.study) as self.owner:
            if self.owner.accompanied():  # with the same seed both would propose the same
                self.study.sampler.reseed_rng()
            try:
                if runs_here(self.n_jobs):
                    for job in self._jobs():
                        self._tell(run_trial(job))
                else:
                    while not self._in_parallel():
                        pass
            except KeyboardInterrupt:
                self.interrupted = True
            finally:
                self._put_back()
        if self._fault is not None:
            raise self._fault

    def _put_back(self) -> None:
        """Let what is running wait, and what was being asked for as the end came."""
        with self._lock:
            self.ended = True
            for trial, _ in self.running.values():
                put_back(self.study, trial)
            self.running.clear()
            self.owner.reap(set())

    def _in_parallel(self) -> bool:
        """Run trials at the same time; return False where a worker was lost, and there are more."""
        work = joblib.Parallel(
            self.n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
        )
        try:
            for outcome in work(joblib.delayed(run_trial)(job) for job in self._safe_jobs()):
                self._tell(outcome)
        except Exception as error:
            if type(error).__name__ not in _WORKER_LOST:
                raise
            # All that were running are lost; each is run again by itself, so that the one that
            # kills its worker is told from those that were beside it.
            self._run_lost()
            return False
        self._run_lost()  # the engine may have asked for one more while it went down
        return True

    def _run_lost(self) -> None:
        for trial, job in list(self.running.values()):
            self._again(trial, job)

    def _again(self, trial: Any, job: Job) -> None:
        """Run a trial whose worker was lost once more, with nothing beside it."""
        trial.set_user_attr("runs", 2)
        job = self._job(trial, job.estimator, job.learner, job.values)
        try:
            # Two workers, of which one is idle: with one, joblib would run it in this process.
            work = joblib.Parallel(2, batch_size=1)
            outcome = work([joblib.delayed(run_trial)(job)])[0]
        except Exception as error:
            if type(error).__name__ not in _WORKER_LOST:
                raise
            outcome = Outcome(
                job.number,
                "failed",
                error="its worker process was killed twice, as the system does when memory is "
                "short. Lower n_jobs, or give the workers more memory",
            )
        self._tell(outcome)

    def _safe_jobs(self) -> Iterator[Job]:
        """Yield jobs to an engine's thread, where nobody would hear of an error."""
        try:
            yield from self._jobs()
        except Exception as error:  # noqa: BLE001 - raised once the engine has come to its end
            self._fault = error

    def _jobs(self) -> Iterator[Job]:
        while (job := self._ask()) is not None:
            yield job

    def _ask(self) -> Job | None:
        with self._lock:
            start = time.perf_counter()
            left = self.budget.left()
            if self.ended or self._fault is not None or (left is not None and left <= 0):
                return None
            if time.monotonic() - self._reaped > _REAP_EVERY:
                self.owner.reap(set(self.running))
                self._reaped = time.monotonic()
            if self.budget.n_trials is not None:
                begun = self.study.get_trials(deepcopy=False)
                if sum(t.state != TrialState.WAITING for t in begun) >= self.budget.n_trials:
                    return None
            self.exhausted = self.exhausted or n_left(self.study, self.candidates) <= 0
            if self.exhausted:
                return None
            trial = self.study.ask()
            self.owner.take(trial)
            candidate, values = suggest(trial, self.candidates)
            job = self._job(trial, candidate.make(values), candidate.name, values)
            self.running[trial.number] = trial, job
            self.overhead += time.perf_counter() - start
            return job

    def _job(self, trial: Any, estimator: Any, learner: str, values: dict[str, Any]) -> Job:
        best, earlier, rungs = history_for(self.study, self.rules, learner)
        return Job(
            trial.number,
            learner,
            estimator,
            self.data,
            self.scorer,
            self.rules,
            values,
            best=best,
            earlier=earlier,
            rungs=rungs,
            seconds=self.budget.left(),
        )

    def _tell(self, outcome: Outcome) -> None:
        with self._lock:
            if outcome.number not in self.running:
                return
            start = time.perf_counter()
            trial, job = self.running[outcome.number]
            try:
                self._write(trial, job, outcome)
            except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
                # Another driver took this one for dead and has ended the trial: once is enough.
                if trial.study.trials[trial.number].state == TrialState.RUNNING:
                    raise
            del self.running[outcome.number]
            self.overhead += time.perf_counter() - start
            if outcome.state != "stopped":
                self.progress.advance(self._best_so_far())

    def _write(self, trial: Any, job: Job, outcome: Outcome) -> None:
        if outcome.state == "stopped":
            put_back(self.study, trial)
            return
        notes: dict[str, Any] = {
            LEARNER: job.learner,
            "scores": [None if math.isnan(s) else float(f"{s:.7g}") for s in outcome.scores],
            "adapt_time": None if math.isnan(outcome.adapt_time) else outcome.adapt_time,
            "seconds": outcome.seconds,
            "n_scored": outcome.n_scored,
        }
        notes |= {"rungs": outcome.rungs} if outcome.rungs else {}
        notes |= {"error": outcome.error} if outcome.error else {}
        notes |= {"transductive": True} if outcome.transductive else {}
        notes |= {"score": outcome.value} if math.isfinite(outcome.value) else {}
        trial.set_user_attr(NOTES, notes)  # one write: each of them waits for the database
        for name, value in outcome.system.items():
            trial.set_system_attr(name, value)
        if self.single:
            for step, value in outcome.steps.items():
                trial.report(value, step)
            if outcome.state == "pruned" and not outcome.steps and math.isfinite(outcome.value):
                trial.report(outcome.value, outcome.n_scored)
        values = None
        if outcome.state == "complete":
            values = [outcome.value] if self.single else [outcome.value, outcome.adapt_time]
        if tell(self.study, trial, values, _STATES[outcome.state]):
            self.exhausted = True

    def _best_so_far(self) -> str:
        try:
            return f"best {self.study.best_value:.4g}" if self.single else ""
        except ValueError:
            return ""


def runs_here(n_jobs: int | None) -> bool:
    """Say whether trials run in this process, one after the other."""
    backend, _ = get_active_backend()
    elsewhere = type(backend).__name__ == "DaskDistributedBackend"
    return not elsewhere and joblib.effective_n_jobs(n_jobs) == 1
