"""Paired differences of scores over tasks, with intervals and without the winner's luck."""

from __future__ import annotations

from dataclasses import dataclass
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
        What was compared: the learner that was chosen most often, and the best baseline.
    mean, low, high : float
        Mean difference and its 95 % interval over tasks.
    n_tasks : int
        Tasks.
    others : tuple of str
        What else was chosen for some tasks, instead of the first.
    """

    n_shot: int | float
    first: str
    second: str
    mean: float
    low: float
    high: float
    n_tasks: int
    others: tuple[str, ...] = ()

    @property
    def sign(self) -> int:
        """1 or -1 if the interval is above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def chosen_difference(
    scores: pd.DataFrame, first: list[str], second: list[str], n_shot: int | float
) -> Difference | None:
    """Compare the best of some learners, without the winner's luck, with the best baseline.

    The tasks are cut into blocks: the folds, where these hold out whole tasks and are several,
    else a random fifth each. In each block the best learner is chosen by its mean score over the
    *other* blocks' tasks, so that none is judged on the tasks that it was chosen by. The baseline
    is the one with the best mean over all tasks: it keeps its luck, for a choice that may differ
    from block to block would be worse than the best, and flatter the learner.

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
    if not all(present):
        return None
    table = table[[*present[0], *present[1]]].dropna()
    if table.empty:
        return None
    block = _blocks(table)
    baseline = _best(table[present[1]])
    differences: list[Any] = []
    chosen: list[str] = []
    for number in np.unique(block):
        here = block == number
        others = table[~here] if (~here).any() else table
        chosen.append(_best(others[present[0]]))
        differences.append(table.loc[here, chosen[-1]] - table.loc[here, baseline])
    per_task = pd.concat(differences).groupby(level="task").mean()
    mean, low, high = interval(per_task.to_numpy())
    most, *rest = sorted(set(chosen), key=lambda name: (-chosen.count(name), name))
    return Difference(n_shot, most, baseline, mean, low, high, len(per_task), tuple(rest))


def _best(table: pd.DataFrame) -> str:
    """Return the candidate with the best mean over tasks, in however many folds each is."""
    return str(table.groupby(level="task").mean().mean().idxmax())


def _blocks(table: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return a block number for each row, so that no task is in two blocks."""
    fold = table.index.get_level_values("fold")
    task = table.index.get_level_values("task")
    whole = pd.Series(fold).groupby(np.asarray(task)).nunique().max() == 1
    if whole and fold.nunique() > 1:
        return np.unique(np.asarray(fold), return_inverse=True)[1].astype(np.int64)
    names, number = np.unique(np.asarray(task), return_inverse=True)
    shuffled = np.random.default_rng(0).permutation(len(names))
    blocks: npt.NDArray[np.int64] = (shuffled % _BLOCKS)[number].astype(np.int64)
    return blocks
