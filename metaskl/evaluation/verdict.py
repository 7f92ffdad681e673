"""The verdict: what meta-learning gains over the baselines, with an interval over tasks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

# Blocks of tasks for choosing candidates where every fold holds every task.
_BLOCKS = 5


def interval(values: npt.NDArray[Any], level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean and its Student interval; NaN bounds for a single value."""
    mean = float(np.mean(values)) if len(values) else float("nan")
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values)
    return mean, mean - float(half), mean + float(half)


@dataclass(frozen=True)
class Difference:
    """A paired difference of scores over tasks, greater is better for the first.

    Attributes
    ----------
    n_shot : int or float
        Labelled rows.
    first, second : str
        The candidates that were chosen most often.
    mean, low, high : float
        Mean difference and its 95 % interval over tasks.
    n_tasks : int
        Tasks.
    """

    n_shot: int | float
    first: str
    second: str
    mean: float
    low: float
    high: float
    n_tasks: int

    @property
    def sign(self) -> int:
        """1 or -1 if the interval is above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def chosen_difference(
    scores: pd.DataFrame, first: list[str], second: list[str], n_shot: int | float
) -> Difference | None:
    """Compare the best of two sets of candidates without the winner's luck.

    The tasks are cut into blocks: the folds, where these hold out whole tasks, else a random
    fifth each. In each block the best of each set is chosen by its mean score over the *other*
    blocks' tasks, and their scores on this block's tasks are compared. So no candidate is judged
    on the tasks that it was chosen by.

    Parameters
    ----------
    scores : DataFrame
        With ``candidate``, ``fold``, ``task``, ``n_shot``, ``score``.
    first, second : list of str
        Names of the candidates of each set.
    n_shot : int or float
        Which shot count.

    Returns
    -------
    Difference or None
        None if there is nothing to compare.
    """
    at = scores[(scores["n_shot"] == n_shot) & scores["candidate"].isin([*first, *second])]
    table = at.pivot_table(index=["fold", "task"], columns="candidate", values="score")
    present = [[name for name in names if name in table] for names in (first, second)]
    if not all(present) or table.empty:
        return None
    table = table[[*present[0], *present[1]]].dropna()
    block = _blocks(table)
    differences, winners = [], ([], [])  # type: ignore[var-annotated]
    for number in np.unique(block):
        here = block == number
        others = table[~here] if (~here).any() else table
        best = [others[names].mean().idxmax() for names in present]
        for record, name in zip(winners, best, strict=True):
            record.append(name)
        differences.append(table.loc[here, best[0]] - table.loc[here, best[1]])
    if not differences:
        return None
    per_task = pd.concat(differences).groupby(level="task").mean()
    mean, low, high = interval(per_task.to_numpy())
    names = [max(set(record), key=record.count) for record in winners]
    return Difference(n_shot, names[0], names[1], mean, low, high, len(per_task))


def _blocks(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a block number for each row, so that no task is in two blocks."""
    fold = table.index.get_level_values("fold")
    task = table.index.get_level_values("task")
    if pd.Series(fold).groupby(np.asarray(task)).nunique().max() == 1:
        return np.unique(np.asarray(fold), return_inverse=True)[1].astype(np.int64)
    names, number = np.unique(np.asarray(task), return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(len(names))
    blocks: npt.NDArray[np.int64] = (shuffled % _BLOCKS)[number].astype(np.int64)
    return blocks


@dataclass(frozen=True)
class Verdict:
    """Whether meta-learning pays, in numbers and words.

    Attributes
    ----------
    against_baselines : tuple of Difference
        The best meta-learner against the best of all baselines, at each shot count.
    against_per_task : tuple of Difference
        The best meta-learner against the best model of the task's own rows alone.
    metric : str
        The score's name.
    lower_is_better : bool
        Whether the metric is an error (its sign was turned for the differences).
    """

    against_baselines: tuple[Difference, ...]
    against_per_task: tuple[Difference, ...]
    metric: str
    lower_is_better: bool

    @property
    def pays(self) -> bool:
        """Whether the best learner beats the best baseline beyond the interval at some shots.

        The intervals of several shot counts are not corrected for their number.
        """
        return any(difference.sign > 0 for difference in self.against_baselines)

    @property
    def per_task_is_as_good_from(self) -> int | float | None:
        """The smallest shot count from which on a plain per-task model is as good, or None."""
        found = None
        for difference in reversed(self.against_per_task):
            if difference.sign > 0:
                break
            found = difference.n_shot
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values."""
        return {
            "pays": self.pays,
            "per_task_is_as_good_from": self.per_task_is_as_good_from,
            "metric": self.metric,
            "lower_is_better": self.lower_is_better,
            "against_baselines": [asdict(d) for d in self.against_baselines],
            "against_per_task": [asdict(d) for d in self.against_per_task],
            "text": str(self),
        }

    def __str__(self) -> str:
        if not self.against_baselines:
            return "Verdict: there is nothing to compare; give at least a learner and a baseline."
        wins = [_shots(d.n_shot) for d in self.against_baselines if d.sign > 0]
        losses = [_shots(d.n_shot) for d in self.against_baselines if d.sign < 0]
        if wins and len(wins) == len(self.against_baselines):
            head = "yes, meta-learning pays at every shot count tried"
        elif wins:
            head = f"it depends: meta-learning pays at {_join(wins)}"
        elif len(losses) == len(self.against_baselines):
            head = "no, a baseline is better at every shot count tried"
        else:
            head = "no, meta-learning does not beat the best baseline at any shot count tried"
        n_tasks = min(d.n_tasks for d in self.against_baselines)
        what = f"less {self.metric}" if self.lower_is_better else f"more {self.metric}"
        lines = [
            f"Verdict: {head}.",
            f"  (A gain is {what}, paired over {n_tasks} tasks or more, with its 95 % interval.)",
        ]
        lines += [self._sentence(d) for d in self.against_baselines]
        lines.append(self._per_task_sentence())
        return "\n".join(lines)

    def _sentence(self, d: Difference) -> str:
        verb = {1: "is better than", -1: "is worse than", 0: "cannot be told from"}[d.sign]
        return (
            f"  {_shots(d.n_shot)}: {d.first} {verb} the best baseline, {d.second}: gain "
            f"{d.mean:+.4g} [{d.low:+.4g}, {d.high:+.4g}]."
        )

    def _per_task_sentence(self) -> str:
        if not self.against_per_task:
            return "  No per-task model was compared."
        start = self.per_task_is_as_good_from
        if start is None:
            most = _shots(self.against_per_task[-1].n_shot)
            return f"  Up to {most} no model of the task's own rows alone is as good."
        later = [d for d in self.against_per_task if d.n_shot >= start]
        how = (
            "better"
            if all(d.sign < 0 for d in later)
            else "as good or better, as far as can be told"
        )
        return f"  From {_shots(start)} on a plain per-task model is {how}."


def _shots(n_shot: int | float) -> str:
    if isinstance(n_shot, float):
        return f"{n_shot:.0%} of the rows"
    return f"{n_shot} labelled row{'' if n_shot == 1 else 's'}"


def _join(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
