"""Task by task: one candidate against another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from metaskl.errors import ParameterError
from metaskl.report.display import PALETTE, QUIET, Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = 4.6


class TaskScoresDisplay(Display):
    """The score of each task by one candidate over that by another.

    Parameters
    ----------
    first, second : Series
        Scores by task, greater is better; tasks without both are left out. The names of the
        series name the axes.
    metric : str, default="score"
        Name of the score.
    lower_is_better : bool, default=False
        Whether the metric is an error, drawn without the sign of its score.

    Attributes
    ----------
    ax_ : Axes
        What was drawn on.
    figure_ : Figure
        Its figure.
    n_better_ : int
        Tasks on which the first is better.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl.report import TaskScoresDisplay
    >>> first = pd.Series({"a": 0.9, "b": 0.8}, name="maml")
    >>> second = pd.Series({"a": 0.7, "b": 0.85}, name="ridge")
    >>> TaskScoresDisplay(first, second).plot().n_better_
    1
    """

    def __init__(
        self,
        first: pd.Series,
        second: pd.Series,
        *,
        metric: str = "score",
        lower_is_better: bool = False,
    ) -> None:
        self.first = first
        self.second = second
        self.metric = metric
        self.lower_is_better = lower_is_better

    @classmethod
    def from_scores(cls, scores: pd.DataFrame, first: str, second: str, **kwargs: Any) -> Self:
        """Draw two candidates of a table of scores.

        Parameters
        ----------
        scores : DataFrame
            With ``candidate``, ``task``, ``n_shot`` and ``score``, as ``Comparison.scores``.
        first, second : str
            Names of the candidates.
        **kwargs
            As in the class.

        Returns
        -------
        TaskScoresDisplay
            The display, of each task's mean over shot counts and repeats.

        Raises
        ------
        ParameterError
            If there is no such candidate.
        """
        known = scores["candidate"].unique().tolist()
        for name in (first, second):
            if name not in known:
                raise ParameterError(f"candidate must be one of {known}, got {name!r}.")
        cells = scores.groupby(["candidate", "task", "n_shot"])["score"].mean()
        means = cells.groupby(["candidate", "task"]).mean()
        return cls(means[first].rename(first), means[second].rename(second), **kwargs).plot()

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the tasks.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        TaskScoresDisplay
            The display itself.
        """
        ax = self._open(ax, _SIZE, _SIZE)
        both = pd.concat([self.first, self.second], axis=1, keys=["first", "second"]).dropna()
        better = both["first"] > both["second"]
        self.n_better_ = int(better.sum())
        sign = -1 if self.lower_is_better else 1
        for part, colour in ((both[better], PALETTE[0]), (both[~better], QUIET)):
            x, y = sign * part["second"], sign * part["first"]
            ax.plot(x, y, "o", color=colour, markersize=5, alpha=0.75, linestyle="none")
        ends = [sign * both.to_numpy().min(), sign * both.to_numpy().max()] if len(both) else [0, 1]
        ax.plot(np.sort(ends), np.sort(ends), color=QUIET, linewidth=1, zorder=0)
        ax.set_aspect("equal", adjustable="datalim")
        ax.set_xlabel(f"{self.metric}: {self.second.name}")
        ax.set_ylabel(f"{self.metric}: {self.first.name}")
        side = "below" if self.lower_is_better else "above"
        ax.set_title(
            f"{self.n_better_} of {len(both)} tasks better, {side} the line", fontsize="small"
        )
        return self
