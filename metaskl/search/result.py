"""What a study found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metaskl.errors import StudyError
from metaskl.search._optuna import TrialState
from metaskl.search.spaces import LEARNER, Candidate, decode

# The user attribute of a trial that holds what came of it.
NOTES = "outcome"


def notes_of(trial: Any) -> dict[str, Any]:
    """Return what came of a trial; nothing while it runs."""
    notes: dict[str, Any] = trial.user_attrs.get(NOTES, {})
    return notes


@dataclass(frozen=True, repr=False)
class StudyResult:
    """The result of :func:`metaskl.run_study`.

    Attributes
    ----------
    study : optuna.study.Study
        The study itself, for optuna's own plots and dashboards.
    candidates : list of Candidate
        What was searched.
    draws : DataFrame
        A row a draw, in the order in which every trial was scored: ``fold``, ``task``,
        ``repeat``, ``n_shot``.
    metric : str
        What was scored; errors have a minus sign.
    lower_is_better : bool
        Whether it is an error.
    interrupted : bool
        Whether Ctrl-C ended the search before the budget did.
    overhead : float
        Seconds that the driver itself took in this call, for asking and telling.
    """

    study: Any
    candidates: list[Candidate]
    draws: pd.DataFrame
    metric: str
    lower_is_better: bool
    interrupted: bool = False
    overhead: float = 0.0

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial: number, learner, state, score, what it took, its hyper-parameters."""
        rows = []
        for trial in self.study.get_trials(deepcopy=False):
            notes = notes_of(trial)
            complete = trial.state == TrialState.COMPLETE
            row = {
                "number": trial.number,
                "learner": notes.get(LEARNER)
                or (self._candidate(trial).name if trial.params else None),
                "state": trial.state.name.lower(),
                # Of one pruned by its epochs there is none: optuna has its loss instead.
                "score": trial.values[0] if complete else notes.get("score", float("nan")),
            }
            row |= {k: notes.get(k) for k in ("adapt_time", "seconds", "n_scored", "error")}
            row["runs"] = trial.user_attrs.get("runs", 1)
            row |= {name: value for name, value in trial.params.items() if name != LEARNER}
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def best_trial(self) -> Any:
        """The complete trial of the best score; with two objectives too."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if not done:
            raise StudyError(
                "A study must have a complete trial to have a best one, got none. Give it more "
                "time or trials; result.trials['error'] says what failed."
            )
        return max(done, key=lambda trial: trial.values[0])

    @property
    def best_learner(self) -> str:
        """The name of the best candidate."""
        return self._candidate(self.best_trial).name

    @property
    def best_params(self) -> dict[str, Any]:
        """The best trial's hyper-parameters, as ``set_params`` of its estimator takes them."""
        return self.params_of(self.best_trial)

    @property
    def best_score(self) -> float:
        """The best trial's score: its mean over held-out tasks, greater is better."""
        return float(self.best_trial.values[0])

    @property
    def task_scores(self) -> pd.DataFrame:
        """One row a trial and draw: ``trial``, ``fold``, ``task``, ``repeat``, ``n_shot``, score.

        Of a pruned trial there are the draws that it was scored on.
        """
        parts = []
        for trial in self.study.get_trials(deepcopy=False):
            scores = notes_of(trial).get("scores", [])
            part = self.draws.head(len(scores)).copy()
            part.insert(0, "trial", trial.number)
            part["score"] = [float("nan") if s is None else s for s in scores]
            parts.append(part)
        return pd.concat(parts, ignore_index=True) if parts else self.draws.head(0)

    @property
    def task_evaluations_saved(self) -> float:
        """The share of task evaluations, from 0 to 1, that pruning saved in trials that ended.

        Those of the shorter runs of a lower `fidelity` are not counted.
        """
        ended = (TrialState.COMPLETE, TrialState.PRUNED)
        trials = self.study.get_trials(deepcopy=False, states=ended)
        scored = sum(notes_of(trial).get("n_scored", 0) for trial in trials)
        whole = len(self.draws[["fold", "task"]].drop_duplicates()) * len(trials)
        return 1.0 - scored / whole if whole else 0.0

    def params_of(self, trial: Any) -> dict[str, Any]:
        """Return a trial's hyper-parameters, as ``set_params`` of its estimator takes them.

        Parameters
        ----------
        trial : FrozenTrial
            A trial of the study.

        Returns
        -------
        dict
            Values by name, without the learner's.
        """
        candidate = self._candidate(trial)
        return decode(candidate.space, self._own_values(trial, candidate))

    def make(self, trial: Any) -> Any:
        """Return the unfitted estimator of a trial.

        Parameters
        ----------
        trial : FrozenTrial
            A trial of the study.

        Returns
        -------
        estimator
            Not fitted.
        """
        candidate = self._candidate(trial)
        return candidate.make(self._own_values(trial, candidate))

    def make_best(self) -> Any:
        """Return the unfitted estimator of the best trial."""
        return self.make(self.best_trial)

    def _candidate(self, trial: Any) -> Candidate:
        name = trial.params.get(LEARNER, self.candidates[0].name)
        return next(candidate for candidate in self.candidates if candidate.name == name)

    def _own_values(self, trial: Any, candidate: Candidate) -> dict[str, Any]:
        prefix = f"{candidate.name}." if len(self.candidates) > 1 else ""
        return {k.removeprefix(prefix): v for k, v in trial.params.items() if k != LEARNER}

    def __repr__(self) -> str:
        done = Counter(trial.state.name.lower() for trial in self.study.get_trials(deepcopy=False))
        counts = ", ".join(f"{n} {state}" for state, n in done.most_common()) or "no trials"
        lines = [f"Study {self.study.study_name!r}: {counts}"]
        if done["complete"]:
            sign = -1 if self.lower_is_better else 1
            lines.append(f"best {self.metric}: {sign * self.best_score:.4g}, {self.best_learner}")
            lines += [f"  {name} = {value!r}" for name, value in self.best_params.items()]
        return "\n".join(lines)
