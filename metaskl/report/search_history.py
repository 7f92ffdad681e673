"""How a search went: the score of every trial, and the best so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from metaskl.report.display import QUIET, Display, legend_above, looks, require, robust_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 7.0, 3.6


class SearchHistoryDisplay(Display):
    """The score of each trial in the order of the search, and the best so far.

    Parameters
    ----------
    trials : DataFrame
        One row a trial, in order, with ``number``, ``state`` (``"COMPLETE"``, ``"PRUNED"``,
        ...), ``candidate`` and ``score``, greater is better. Only complete ones count for the
        best so far; pruned ones are drawn hollow.
    families : dict of str, optional
        ``"learner"``, or the family of the baseline, for each candidate: its colour.
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
    best_ : Line2D
        The best so far.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl.report import SearchHistoryDisplay
    >>> trials = pd.DataFrame({"number": [0, 1, 2], "state": "COMPLETE",
    ...                        "candidate": "maml", "score": [0.5, 0.7, 0.6]})
    >>> SearchHistoryDisplay(trials).plot().best_.get_ydata().tolist()
    [0.5, 0.7, 0.7]
    """

    def __init__(
        self,
        trials: pd.DataFrame,
        families: dict[str, str] | None = None,
        *,
        metric: str = "score",
        lower_is_better: bool = False,
    ) -> None:
        self.trials = trials
        self.families = families
        self.metric = metric
        self.lower_is_better = lower_is_better

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the history.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        SearchHistoryDisplay
            The display itself.
        """
        ax = self._open(ax, _WIDTH, _HEIGHT)
        sign = -1 if self.lower_is_better else 1
        known = self.trials.dropna(subset="score")
        names = dict.fromkeys(known["candidate"], "learner") | (self.families or {})
        look = looks(names)
        for name, part in known.groupby("candidate", sort=False):
            drawn: dict[str, Any] = {"color": look[str(name)].colour, "linestyle": "none"}
            drawn["marker"] = look[str(name)].marker
            whole = part[part["state"] == "COMPLETE"]
            cut = part[part["state"] != "COMPLETE"]
            ax.plot(whole["number"], sign * whole["score"], markersize=5, label=name, **drawn)
            ax.plot(cut["number"], sign * cut["score"], markersize=4, mfc="none", **drawn)
        complete = known[known["state"] == "COMPLETE"]
        (self.best_,) = ax.plot(
            complete["number"],
            sign * complete["score"].cummax(),
            drawstyle="steps-post",
            color=QUIET,
            linewidth=1.6,
            zorder=1,
            label="best so far",
        )
        low, high = robust_limits(sign * known["score"], lower_is_better=self.lower_is_better)
        if low is not None:
            ax.set_ylim(low, high)
        better = "lower" if self.lower_is_better else "higher"
        ax.set_xlabel("trial (hollow: pruned)")
        ax.set_ylabel(f"{self.metric} ({better} is better)")
        ax.xaxis.set_major_locator(require("matplotlib.ticker").MaxNLocator(integer=True))
        legend_above(ax)
        return self
