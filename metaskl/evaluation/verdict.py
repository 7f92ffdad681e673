"""The verdict: what meta-learning gains over the baselines, in numbers and words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from metaskl.evaluation.differences import Difference, chosen_difference
from metaskl.evaluation.plain import plain

# How the reason begins where a candidate is no failure, but was never begun.
NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Verdict:
    """Whether meta-learning pays, in numbers and words.

    Attributes
    ----------
    against_baselines : tuple of Difference
        The best meta-learner, chosen on other tasks, against the best of all baselines, at each
        shot count.
    against_per_task : tuple of Difference
        The best meta-learner against the best model of the task's own rows alone.
    metric : str
        The score's name.
    lower_is_better : bool
        Whether the metric is an error (its sign was turned for the differences).
    condition : str
        What the verdict holds for, where that is not the full set of baselines.
    left_out : dict of int or float to str
        Shot counts that could not be compared, each with the reason.
    nothing : str
        What the verdict says if nothing was compared.
    held_out : str
        What the differences are paired over, in words.
    per_class : bool
        Whether shot counts are rows of each class.
    """

    against_baselines: tuple[Difference, ...]
    against_per_task: tuple[Difference, ...]
    metric: str
    lower_is_better: bool
    condition: str = ""
    left_out: dict[int | float, str] = field(default_factory=dict)
    nothing: str = "there is nothing to compare; give at least a learner and a baseline."
    held_out: str = "tasks"
    per_class: bool = False

    @property
    def compared(self) -> bool:
        """Whether a learner was compared with a baseline at some shot count."""
        return bool(self.against_baselines)

    @property
    def pays(self) -> bool:
        """Whether the best learner beats the best baseline beyond the interval at some shots.

        The intervals of several shot counts are not corrected for their number.
        """
        return any(difference.sign > 0 for difference in self.against_baselines)

    @property
    def no_gain_over_per_task_from(self) -> int | float | None:
        """The smallest shot count from which on no gain over a per-task model is shown, or None.

        A gain over the best of all baselines is one over the per-task models among them, also
        where these differ so much from task to task that their own interval holds 0.
        """
        found = None
        for difference in reversed(self.against_per_task):
            if self._beats_per_task(difference):
                break
            found = difference.n_shot
        return found

    def _beats_per_task(self, difference: Difference) -> bool:
        """Say whether meta-learning pays at a shot count, over per-task models or over all."""
        over_all = any(d.sign > 0 and d.n_shot == difference.n_shot for d in self.against_baselines)
        return over_all or difference.sign > 0

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values, for JSON; a bound that is not a number is None."""
        held = {
            "compared": self.compared,
            "pays": self.pays,
            "condition": self.condition,
            "no_gain_over_per_task_from": self.no_gain_over_per_task_from,
            "metric": self.metric,
            "lower_is_better": self.lower_is_better,
            "against_baselines": [asdict(d) for d in self.against_baselines],
            "against_per_task": [asdict(d) for d in self.against_per_task],
            "left_out": [{"n_shot": k, "reason": why} for k, why in self.left_out.items()],
            "text": str(self),
        }
        return {name: plain(value) for name, value in held.items()}

    def __str__(self) -> str:
        left_out = [f"  {self._shots(k)}: {why}." for k, why in self.left_out.items()]
        if not self.compared:
            return "\n".join([f"Verdict: {self.nothing}", *left_out])
        condition = f"{self.condition}: " if self.condition else ""
        what = f"less {self.metric}" if self.lower_is_better else f"more {self.metric}"
        sizes = sorted({d.n_tasks for d in self.against_baselines})
        n = str(sizes[0]) if len(sizes) == 1 else ""
        over = f"{n} {self.held_out}" if n else f"as many {self.held_out} as each line names"
        lines = [
            f"Verdict: {condition}{self._headline()}.",
            f"  (A gain is {what}, paired over {over}, with its 95 % interval.)",
        ]
        lines += [self._sentence(d, name_tasks=len(sizes) > 1) for d in self.against_baselines]
        return "\n".join([*lines, *left_out, self._per_task_sentence()])

    def _headline(self) -> str:
        """Return the verdict in one clause, of the shot counts that were scored."""
        wins = [self._shots(d.n_shot) for d in self.against_baselines if d.sign > 0]
        losses = [d for d in self.against_baselines if d.sign < 0]
        every = [self._shots(d.n_shot) for d in self.against_baselines]
        partial = bool(self.left_out)
        everywhere = f"at {_join(every)}" if partial else "at every shot count tried"
        anywhere = f"at {_join(every, 'or')}" if partial else "at any shot count tried"
        if wins and len(wins) == len(every):
            return f"yes, meta-learning pays {everywhere}"
        if wins:
            return f"it depends: meta-learning pays at {_join(wins)}"
        if len(losses) == len(every):
            return f"no, a baseline is better {everywhere}"
        return f"no, meta-learning does not beat the best baseline {anywhere}"

    def _sentence(self, d: Difference, *, name_tasks: bool) -> str:
        verb = {1: "is better than", -1: "is worse than", 0: "cannot be told from"}[d.sign]
        over = f" over {d.n_tasks} task{'' if d.n_tasks == 1 else 's'}" if name_tasks else ""
        return (
            f"  {self._shots(d.n_shot)}: {d.first} {verb} the best baseline, {d.second}: gain "
            f"{d.mean:+.4g} [{d.low:+.4g}, {d.high:+.4g}]{over}{self._others(d)}."
        )

    def _shots(self, n_shot: int | float) -> str:
        return shots_words(n_shot) + " of each class" * (self.per_class and n_shot >= 1)

    @staticmethod
    def _others(d: Difference) -> str:
        """Say whose scores a gain holds too, where other tasks chose another learner."""
        return f" (for some tasks {_join(list(d.others), 'or')} was chosen)" if d.others else ""

    def _per_task_sentence(self) -> str:
        if not self.against_per_task:
            return "  No per-task model was compared."
        start = self.no_gain_over_per_task_from
        if start is None:
            most = self._shots(self.against_per_task[-1].n_shot)
            where = "Up to" if all(map(self._beats_per_task, self.against_per_task)) else "At"
            alone = "no model of the task's own rows alone is as good as the best learner."
            return f"  {where} {most} {alone}"
        since = f"  From {self._shots(start)} on"
        if all(d.sign < 0 for d in self.against_per_task if d.n_shot >= start):
            return f"{since} a plain per-task model is better."
        return f"{since} it cannot be told that meta-learning beats a plain per-task model."


def reach_verdict(
    scores: pd.DataFrame,
    families: dict[str, str],
    *,
    metric: str,
    lower_is_better: bool,
    condition: str,
    left_out: dict[int | float, str],
    failures: dict[str, str],
    held_out: str = "tasks",
    per_class: bool = False,
) -> Verdict:
    """Compare the best learner with the best baseline at each shot count.

    Parameters
    ----------
    scores : DataFrame
        Of the candidates that could be fitted.
    families : dict of str
        The family of each candidate that was tried, in whatever way it ended.
    metric, lower_is_better, condition, left_out
        As in :class:`Verdict`.
    failures : dict of str
        The reason for each candidate that failed.
    held_out, per_class
        As in :class:`Verdict`.
    """
    fitted = set(scores["candidate"])
    learners = [name for name, family in families.items() if family == "learner"]
    others = [name for name in families if name not in learners]
    alone = [name for name, family in families.items() if family == "per-task"]
    shots = sorted(dict.fromkeys(scores["n_shot"]))
    found = [
        {k: d for k in shots if (d := chosen_difference(scores, learners, names, k)) is not None}
        for names in (others, alone)
    ]
    nothing = Verdict.nothing
    sides = (("learner", learners), ("baseline", others))
    missing = [side for side, names in sides if not fitted & set(names)]
    if not missing:
        why = "no task has a score of every candidate"
        nothing = f"nothing was compared: {why}."
        left_out = left_out | {k: why for k in shots if k not in found[0]}
    elif learners and others:
        failed = failure_lines(failures)
        of_side = dict(sides)[missing[0]]
        could = "could be fitted"
        reasons = [failures.get(name, "") for name in of_side]
        if all(reason.startswith(NOT_TRIED) for reason in reasons):
            early = all("time budget" in reason for reason in reasons)
            could = "was tried" + ": the time budget ended before" * early
        nothing = "\n".join([f"nothing was compared: no {missing[0]} {could}.", *failed])
    if lost := [failures[name] for name in others if name in failures]:
        also = "the baselines given" if condition else "the baselines"
        untried = all(reason.startswith(NOT_TRIED) for reason in lost)
        which = "there was time for" if untried else "could be fitted"
        condition = f"against those of {also} that {which}"
    return Verdict(
        tuple(found[0].values()),
        tuple(found[1].values()),
        metric,
        lower_is_better,
        condition,
        dict(sorted(left_out.items())),
        nothing,
        held_out,
        per_class,
    )


def failure_lines(failures: dict[str, str]) -> list[str]:
    """Return who failed and the first line of why, candidates of the same reason together."""
    together: dict[str, list[str]] = {}
    for name, reason in failures.items():
        together.setdefault((reason.strip().splitlines() or [""])[0], []).append(name)
    return [
        f"  {', '.join(names)} {'' if reason.startswith(NOT_TRIED) else 'failed: '}{reason}"
        for reason, names in together.items()
    ]


def shots_words(n_shot: int | float) -> str:
    """Return a shot count in words: ``5 labelled rows`` or ``50% of the rows``."""
    if n_shot < 1:
        return f"{n_shot:.0%} of the rows"
    return f"{n_shot:g} labelled row{'' if n_shot == 1 else 's'}"


def _join(items: list[str], word: str = "and") -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"
