"""Candidates scored one after another on the same draws, until the time is spent."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils.parallel import Parallel, delayed

from metaskl.evaluation import Comparison
from metaskl.evaluation.cross_validate import score_fold
from metaskl.evaluation.protocol import Protocol
from metaskl.evaluation.verdict import NOT_TRIED, reach_verdict
from metaskl.progress import Progress
from metaskl.search.averaging import mean_score
from metaskl.search.record import SearchRecord

Array = npt.NDArray[Any]


class Contest:
    """What was tried, how each did, and which is best so far.

    Parameters
    ----------
    protocol : Protocol
        Rows, folds with their draws, and scorer: the same for all.
    time_budget : float or None
        Seconds from now, after which nothing more is to start.
    n_jobs : int or None
        Folds in parallel.
    verbose : int
        Whether to say what each reached.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        time_budget: float | None,
        n_jobs: int | None,
        verbose: int,
    ) -> None:
        self.protocol = protocol
        self.X, self.y, self.ids = protocol.X, protocol.y, protocol.ids
        self.folds, self.scorer = protocol.folds, protocol.scorer
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.end = None if time_budget is None else time.monotonic() + time_budget
        self.estimators: dict[str, Any] = {}
        self.families: dict[str, str] = {}
        self.parts: dict[str, pd.DataFrame] = {}
        self.scores: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.failures: dict[str, str] = {}
        self.transductive: list[str] = []
        self.log: list[dict[str, Any]] = []  # every trial in its order, those of a search too
        self.importances: dict[str, float] = {}
        self.taken_up: set[int] = set()  # the trials of a study that are among them
        self.searched = ""  # the learner whose importances these are

    @property
    def time_left(self) -> float:
        """Seconds until nothing more is to start; infinite without a budget."""
        return np.inf if self.end is None else self.end - time.monotonic()

    @property
    def best(self) -> str | None:
        """The name of the best so far; the one that came first, of equals."""
        finite = {name: score for name, score in self.scores.items() if np.isfinite(score)}
        return max(finite, key=lambda name: finite[name]) if finite else None

    @property
    def ranking(self) -> list[str]:
        """All names, the best first."""
        finite = [name for name, score in self.scores.items() if np.isfinite(score)]
        return sorted(finite, key=lambda name: -self.scores[name])

    def run(self, candidates: dict[str, Any], families: dict[str, str], *, title: str) -> None:
        """Score candidates in their order; the first at least, the rest while time is left.

        One that fails is named in `failures`, as is one that there was no time for.
        """
        progress = Progress(len(candidates), title, "candidate", shown=bool(self.verbose))
        for name, estimator in candidates.items():
            if self.scores and self.time_left <= 0:
                self.failures[name] = f"{NOT_TRIED}: the time budget was spent"
                self.families[name] = families[name]
                continue
            self._try(name, families[name], estimator)
            progress.advance(self._best_in_words())
        progress.close()

    def _best_in_words(self) -> str:
        if self.best is None:
            return ""
        sign = -1.0 if self.protocol.lower_is_better else 1.0
        return f"best so far {self.best}: {sign * self.scores[self.best]:.4g}"

    def _try(self, name: str, family: str, estimator: Any) -> None:
        self.families[name] = family
        try:
            parts = Parallel(n_jobs=self.n_jobs)(
                delayed(score_fold)(estimator, self.X, self.y, self.ids, fold, self.scorer)
                for fold in self.folds
            )
        except Exception as error:  # noqa: BLE001 - one that fails is no reason to lose the rest
            self.failures[name] = f"{type(error).__name__}: {error}"
            self.note(name, "FAIL", np.nan, np.nan, {})
            return
        seconds = sum(part[["fit_time", "score_time"]].iloc[0].sum() for part in parts)
        transductive = any(part.attrs["transductive"] for part in parts)
        whole = pd.concat(parts, ignore_index=True)
        # As a study keeps them, so that a trial with the same settings is no better by a rounding.
        whole["score"] = [float(f"{score:.7g}") for score in whole["score"]]
        self.add(name, family, estimator, whole, float(seconds), transductive=transductive)
        self.note(name, "COMPLETE", self.scores[name], float(seconds), {})

    def note(
        self, candidate: str, state: str, score: float, seconds: float, params: dict[str, Any]
    ) -> None:
        """Write a trial into the log."""
        row = {"number": len(self.log), "candidate": candidate, "state": state, "score": score}
        self.log.append({**row, "seconds": seconds, "params": params})

    def record(self) -> SearchRecord:
        """Return what was done so far."""
        columns = ["number", "candidate", "state", "score", "seconds", "params"]
        trials = pd.DataFrame(self.log, columns=columns)
        return SearchRecord(trials, self.importances, self.searched)

    def add(
        self,
        name: str,
        family: str,
        estimator: Any,
        scores: pd.DataFrame,
        seconds: float,
        *,
        transductive: bool = False,
    ) -> None:
        """Take up a candidate that was scored on the same draws elsewhere."""
        self.estimators[name] = estimator
        self.families[name] = family
        self.parts[name] = scores.assign(candidate=name)
        self.scores[name] = mean_score(scores)
        self.seconds[name] = seconds
        if transductive:
            self.transductive.append(name)

    def add_ensemble(self, name: str, estimator: Any, score: float, seconds: float) -> None:
        """Take up an ensemble: its score counts, but it is no candidate of the verdict.

        It was put together by the very draws that a verdict would judge it on.
        """
        self.estimators[name] = estimator
        self.scores[name] = score
        self.seconds[name] = seconds

    def comparison(
        self,
        *,
        condition: str,
        described: dict[str, Any],
    ) -> Comparison:
        """Return all that was scored as a comparison.

        The verdict chooses among all learners that were scored, each time on the other folds, so
        that they do not profit from the winner's luck. What is left is that the search's
        proposals and prunings went by all folds. The scores hold the best of each learner.
        """
        every = pd.concat(self.parts.values(), ignore_index=True)
        verdict = reach_verdict(
            every,
            self.families,
            metric=self.protocol.metric,
            lower_is_better=self.protocol.lower_is_better,
            condition=condition,
            left_out=self.protocol.left_out,
            failures=self.failures,
            held_out=self.protocol.held_out,
            per_class=self.protocol.n_way is not None,
        )
        names = self._best_of_each()
        kept = every[every["candidate"].isin(names.values())]
        back = {own: name for name, own in names.items()}
        return Comparison(
            scores=kept.assign(candidate=kept["candidate"].map(back)).reset_index(drop=True),
            families={name: self.families[own] for name, own in names.items()},
            verdict=verdict,
            metric=self.protocol.metric,
            lower_is_better=self.protocol.lower_is_better,
            protocol=described
            | {
                "transductive": bool(self.transductive),
                "transductive_candidates": self.transductive,
            },
            failures=dict(self.failures),
            seconds={name: self.seconds[own] for name, own in names.items()},
        )

    def _best_of_each(self) -> dict[str, str]:
        """Return for each learner or baseline, tuned or not, which of its trials was best."""
        best: dict[str, str] = {}
        for name in self.ranking:
            if name in self.parts:
                best.setdefault(name.partition(" #")[0], name)
        return best
