"""The landscape of the inner and the outer learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from metaskl.report.display import QUIET, Display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 5.6, 4.2


class LearningRatesDisplay(Display):
    """The score of each trial over its inner and outer learning rate, both on a log scale.

    Parameters
    ----------
    inner_lr, outer_lr : array-like of shape (n_trials,)
        The rates, > 0.
    scores : array-like of shape (n_trials,)
        Scores, greater is better.
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
    best_ : tuple of float
        The inner and outer rate of the best trial, which is ringed.

    Examples
    --------
    >>> from metaskl.report import LearningRatesDisplay
    >>> LearningRatesDisplay([0.01, 0.1], [1e-3, 1e-2], [0.5, 0.7]).plot().best_
    (0.1, 0.01)
    """

    def __init__(
        self,
        inner_lr: npt.ArrayLike,
        outer_lr: npt.ArrayLike,
        scores: npt.ArrayLike,
        *,
        metric: str = "score",
        lower_is_better: bool = False,
    ) -> None:
        self.inner_lr = np.asarray(inner_lr, dtype=float)
        self.outer_lr = np.asarray(outer_lr, dtype=float)
        self.scores = np.asarray(scores, dtype=float)
        self.metric = metric
        self.lower_is_better = lower_is_better

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the landscape.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        LearningRatesDisplay
            The display itself.
        """
        ax = self._open(ax, _WIDTH, _HEIGHT)
        shown = -self.scores if self.lower_is_better else self.scores
        # The bad end is cut, so that one diverged trial leaves the others apart in colour.
        cut = np.quantile(self.scores, 0.1)
        cut = -cut if self.lower_is_better else cut
        limits = {"vmax": cut} if self.lower_is_better else {"vmin": cut}
        points = ax.scatter(
            self.inner_lr,
            self.outer_lr,
            c=shown,
            cmap="viridis_r" if self.lower_is_better else "viridis",
            s=45,
            **limits,
        )
        best = int(self.scores.argmax())
        self.best_ = (float(self.inner_lr[best]), float(self.outer_lr[best]))
        ax.plot(*self.best_, "o", markersize=12, mfc="none", color=QUIET, markeredgewidth=1.8)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel("inner_lr (ringed: the best)")
        ax.set_ylabel("outer_lr")
        better = "lower" if self.lower_is_better else "higher"
        self.figure_.colorbar(points, ax=ax, label=f"{self.metric} ({better} is better)")
        return self
