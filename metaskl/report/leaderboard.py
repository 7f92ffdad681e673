"""Candidates in order, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from metaskl.errors import ParameterError
from metaskl.evaluation.comparison import four_digits
from metaskl.report.display import (
    QUIET,
    Display,
    legend_above,
    looks,
    require,
    robust_limits,
    shots_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from metaskl.evaluation import Comparison

_WIDTH = 6.4


class LeaderboardDisplay(Display):
    """Candidates from best to worst at one shot count, with 95 % intervals over tasks.

    Parameters
    ----------
    table : DataFrame
        A row a candidate, the best first, with ``family``, ``mean``, ``low`` and ``high``.
    n_shot : int or float
        The shot count.
    metric : str, default="score"
        Name of the score, for the axis.
    lower_is_better : bool, default=False
        Whether the metric is an error.
    per_class : bool, default=False
        Whether the shot count is of rows of each class.

    Attributes
    ----------
    ax_ : Axes
        What was drawn on.
    figure_ : Figure
        Its figure.
    points_ : dict of ErrorbarContainer
        Point and interval of each candidate.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl.report import LeaderboardDisplay
    >>> table = pd.DataFrame({"family": ["learner", "pooled"], "mean": [0.8, 0.7],
    ...                       "low": [0.7, 0.6], "high": [0.9, 0.8]}, index=["maml", "ridge"])
    >>> display = LeaderboardDisplay(table, 5, metric="accuracy").plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['maml', 'ridge']
    """

    def __init__(
        self,
        table: pd.DataFrame,
        n_shot: int | float,
        *,
        metric: str = "score",
        lower_is_better: bool = False,
        per_class: bool = False,
    ) -> None:
        self.table = table
        self.n_shot = n_shot
        self.metric = metric
        self.lower_is_better = lower_is_better
        self.per_class = per_class

    @classmethod
    def from_comparison(
        cls,
        comparison: Comparison,
        *,
        n_shot: int | float | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the result of :func:`~metaskl.compare` at one shot count.

        Parameters
        ----------
        comparison : Comparison
            What :func:`~metaskl.compare` returned.
        n_shot : int or float, optional
            Which shot count; by default the smallest.
        ax : Axes, optional
            Where to draw; by default on a new figure.
        **kwargs
            For :meth:`plot`.

        Returns
        -------
        LeaderboardDisplay
            The display.

        Raises
        ------
        ParameterError
            If the shot count was not compared.
        """
        shots = sorted(set(comparison.scores.dropna(subset="score")["n_shot"].tolist()))
        n_shot = shots[0] if n_shot is None else n_shot
        if n_shot not in shots:
            raise ParameterError(f"n_shot must be one of {shots}, got {n_shot!r}.")
        board = comparison.leaderboard()
        table = board[n_shot].assign(family=board[("", "family")])
        table = table.sort_values("mean", ascending=comparison.lower_is_better)
        display = cls(
            table,
            n_shot,
            metric=comparison.metric,
            lower_is_better=comparison.lower_is_better,
            per_class=comparison.per_class,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the leaderboard.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        LeaderboardDisplay
            The display itself.
        """
        ax = self._open(ax, _WIDTH, 1.3 + 0.28 * len(self.table))
        self.points_ = {}
        look = looks(self._families())
        shown: set[str] = set()
        for place, (name, row) in enumerate(self.table.iterrows()):
            family = str(row["family"])
            reach = np.array([[row["mean"] - row["low"]], [row["high"] - row["mean"]]], float)
            self.points_[str(name)] = ax.errorbar(
                [row["mean"]],
                [place],
                xerr=None if np.isnan(reach).any() else reach,
                fmt=look[str(name)].marker,
                color=look[str(name)].colour,
                markersize=6,
                capsize=3,
                label=None if family in shown else family,
            )
            shown.add(family)
        ax.xaxis.set_major_locator(require("matplotlib.ticker").MaxNLocator(5))
        ax.set_yticks(range(len(self.table)), [str(name) for name in self.table.index])
        ax.set_ylim(len(self.table) - 0.5, -0.5)
        self._limits(ax)
        rows = shots_text(self.n_shot, per_class=self.per_class)
        better = "lower" if self.lower_is_better else "higher"
        ax.set_xlabel(f"{self.metric} with {rows} labelled ({better} is better)")
        ax.grid(axis="x", color=QUIET, alpha=0.25, linewidth=0.8)
        legend_above(ax, len(shown))
        return self

    def _families(self) -> dict[str, str]:
        return {str(name): str(family) for name, family in self.table["family"].items()}

    def _limits(self, ax: Axes) -> None:
        """Write the means beside the axes, and keep a hopeless candidate from the scale."""
        low, high = robust_limits(
            [*self.table["low"], *self.table["mean"], *self.table["high"]],
            lower_is_better=self.lower_is_better,
        )
        if low is not None:
            ax.set_xlim(low, high)
        look = looks(self._families())
        for place, (name, mean) in enumerate(self.table["mean"].items()):
            ax.annotate(
                four_digits(mean),
                xy=(1.02, place),
                xycoords=("axes fraction", "data"),
                color=look[str(name)].colour,
                fontsize="small",
                verticalalignment="center",
                annotation_clip=False,
            )
