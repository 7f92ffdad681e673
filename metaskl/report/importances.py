"""Which hyper-parameters mattered in a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from metaskl.report.display import PALETTE, Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _ROW = 6.4, 0.3


class ImportancesDisplay(Display):
    """The importance of each hyper-parameter, the greatest at the top.

    Parameters
    ----------
    importances : mapping of str to float
        The share of each, in [0, 1].
    most : int, default=10
        How many are drawn, >= 1.

    Attributes
    ----------
    ax_ : Axes
        What was drawn on.
    figure_ : Figure
        Its figure.
    bars_ : BarContainer
        The bars.

    Examples
    --------
    >>> from metaskl.report import ImportancesDisplay
    >>> display = ImportancesDisplay({"outer_lr": 0.1, "inner_lr": 0.9}).plot()
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['inner_lr', 'outer_lr']
    """

    def __init__(self, importances: Mapping[str, float], *, most: int = 10) -> None:
        self.importances = dict(importances)
        self.most = most

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the bars.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        ImportancesDisplay
            The display itself.
        """
        ordered = sorted(self.importances.items(), key=lambda item: -item[1])[: self.most]
        ax = self._open(ax, _WIDTH, 0.9 + _ROW * len(ordered))
        places = range(len(ordered))
        self.bars_ = ax.barh(places, [share for _, share in ordered], color=PALETTE[0], height=0.6)
        ax.set_yticks(places, [name for name, _ in ordered])
        ax.set_ylim(len(ordered) - 0.5, -0.5)
        ax.set_xlim(0, 1)
        ax.set_xlabel("importance (share of what the hyper-parameters explain)")
        ax.tick_params(axis="y", length=0)
        return self
