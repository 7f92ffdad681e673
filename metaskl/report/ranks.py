"""Mean ranks over task sets, with bars over those that cannot be told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from metaskl.evaluation import Ranking, rank_candidates
from metaskl.report.display import QUIET, Display, looks, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _ROW = 6.4, 0.24


class CriticalDifferenceDisplay(Display):
    """Mean ranks of candidates over task sets, the best at the top.

    Bars at the right join candidates whose mean ranks lie within the critical difference of
    each other: the task sets cannot tell them apart.

    Parameters
    ----------
    ranking : Ranking
        What :func:`~metaskl.evaluation.rank_candidates` returned.
    families : dict of str, optional
        ``"learner"``, or the family of the baseline, for each candidate: its colour.

    Attributes
    ----------
    ax_ : Axes
        What was drawn on.
    figure_ : Figure
        Its figure.
    points_ : dict of Line2D
        The point of each candidate.
    bars_ : list of Line2D
        The bar of each group that cannot be told apart.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl.report import CriticalDifferenceDisplay
    >>> scores = pd.DataFrame({"a": [0.9, 0.8, 0.7], "b": [0.8, 0.7, 0.8], "c": [0.1, 0.2, 0.3]})
    >>> display = CriticalDifferenceDisplay.from_scores(scores)
    >>> list(display.points_), len(display.bars_)
    (['a', 'b', 'c'], 1)
    """

    def __init__(self, ranking: Ranking, *, families: dict[str, str] | None = None) -> None:
        self.ranking = ranking
        self.families = families

    @classmethod
    def from_scores(
        cls,
        scores: pd.DataFrame,
        *,
        lower_is_better: bool = False,
        alpha: float = 0.05,
        families: dict[str, str] | None = None,
        ax: Axes | None = None,
    ) -> Self:
        """Rank candidates over task sets and draw the ranks.

        Parameters
        ----------
        scores, lower_is_better, alpha
            As in :func:`~metaskl.evaluation.rank_candidates`.
        families : dict of str, optional
            The family of each candidate.
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        CriticalDifferenceDisplay
            The display.
        """
        ranking = rank_candidates(scores, lower_is_better=lower_is_better, alpha=alpha)
        return cls(ranking, families=families).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the ranks.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        CriticalDifferenceDisplay
            The display itself.
        """
        ranks = self.ranking.ranks
        known = {str(name): "baseline" for name in ranks.index} | (self.families or {})
        look = looks(known)
        ax = self._open(ax, _WIDTH, 1.3 + _ROW * len(ranks))
        self.points_ = {}
        for place, (name, rank) in enumerate(ranks.items()):
            colour, marker = look[str(name)].colour, look[str(name)].marker
            (self.points_[str(name)],) = ax.plot([rank], [place], marker, color=colour, ms=6)
            ax.annotate(
                f"{rank:.2f}",
                xy=(rank, place),
                xytext=(7, 0),
                textcoords="offset points",
                verticalalignment="center",
                fontsize="small",
                color=colour,
            )
        self._bars(ax)
        ax.set_yticks(range(len(ranks)), [str(name) for name in ranks.index])
        ax.set_ylim(len(ranks) - 0.5, -0.5)
        ax.xaxis.set_major_locator(require("matplotlib.ticker").MaxNLocator(6, integer=True))
        ax.set_xlabel(
            f"mean rank over {self.ranking.n_sets} task sets (lower is better; differences below "
            f"{self.ranking.critical_difference:.1f} may be chance)",
            fontsize="small",
        )
        ax.grid(axis="x", color=QUIET, alpha=0.25, linewidth=0.8)
        return self

    def _bars(self, ax: Axes) -> None:
        """Join those that cannot be told apart, each group on a line of its own."""
        places = {str(name): place for place, name in enumerate(self.ranking.ranks.index)}
        self.bars_ = []
        groups = self.ranking.cliques()
        for x, group in zip(1.02 + 0.025 * np.arange(len(groups)), groups, strict=True):
            ends = [places[str(group[0])] - 0.2, places[str(group[-1])] + 0.2]
            (bar,) = ax.plot(
                [x, x],
                ends,
                color=QUIET,
                linewidth=3,
                solid_capstyle="butt",
                transform=ax.get_yaxis_transform(),
                clip_on=False,
            )
            self.bars_.append(bar)
