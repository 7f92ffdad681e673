"""What adapting changed, in four views: a curve, predicted against true, a map, bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from metaskl.report.display import MARKERS, PALETTE, QUIET, legend_above, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]
# More whiskers than this hide the points.
_MOST_WHISKERS = 50


@dataclass(frozen=True)
class Curve:
    """Predictions along one feature, before and after adapting.

    Attributes
    ----------
    feature : str
        Name of the feature.
    grid : ndarray of shape (n,)
        Values of the feature.
    adapted : ndarray of shape (n,)
        Predictions after adapting.
    std : ndarray of shape (n,) or None
        Standard deviations of these, where the estimator knows them.
    prior : ndarray of shape (n,) or None
        Predictions before adapting, where there are any.
    support : tuple of ndarray
        Feature and target of the support.
    query : tuple of ndarray, or None
        Feature and target of the query, if its targets are known.
    held : bool
        Whether other features were held at the support's middle values.
    """

    feature: str
    grid: Array
    adapted: Array
    std: Array | None
    prior: Array | None
    support: tuple[Array, Array]
    query: tuple[Array, Array] | None
    held: bool

    def draw(self, ax: Axes, colour: str = PALETTE[0]) -> None:
        """Draw on axes, what is adapted in the colour given."""
        if self.std is not None:
            low, high = self.adapted - 1.96 * self.std, self.adapted + 1.96 * self.std
            ax.fill_between(
                self.grid, low, high, color=colour, alpha=0.15, linewidth=0, label="95 % of rows"
            )
        if self.query is not None:
            ax.plot(*self.query, ".", color=QUIET, markersize=4, alpha=0.7, label="query")
        if self.prior is not None:
            ax.plot(self.grid, self.prior, "--", color=QUIET, linewidth=1.6, label="before")
        ax.plot(self.grid, self.adapted, "-", color=colour, linewidth=2.2, label="adapted")
        ax.plot(*self.support, "o", **_inked(), markersize=7, label="support")
        ax.set_xlabel(self.feature + (" (other features: the support's middle)" * self.held))
        ax.set_ylabel("target")
        legend_above(ax)


@dataclass(frozen=True)
class PredictedTrue:
    """Predictions of the query against its targets, before and after adapting.

    Attributes
    ----------
    truth : ndarray of shape (n_query,)
        The targets.
    adapted : ndarray of shape (n_query,)
        Predictions after adapting.
    prior : ndarray of shape (n_query,) or None
        Predictions before adapting, where there are any.
    std : ndarray of shape (n_query,) or None
        Standard deviations after adapting, where the estimator knows them.
    """

    truth: Array
    adapted: Array
    prior: Array | None
    std: Array | None

    def draw(self, ax: Axes, colour: str = PALETTE[0]) -> None:
        """Draw on axes, what is adapted in the colour given."""
        if self.std is not None and len(self.truth) <= _MOST_WHISKERS:
            ax.errorbar(
                self.truth,
                self.adapted,
                yerr=1.96 * self.std,
                fmt="none",
                ecolor=colour,
                alpha=0.15,
                linewidth=1,
            )
        if self.prior is not None:
            ax.plot(self.truth, self.prior, "o", **_hollow(QUIET), label=self._label("before"))
        ax.plot(self.truth, self.adapted, "o", color=colour, label=self._label("adapted"), ms=5)
        ends = [self.truth.min(), self.truth.max()]
        ax.plot(ends, ends, "-", color=QUIET, linewidth=1, zorder=0)
        ax.set_xlabel("true target of the query")
        ax.set_ylabel("predicted")
        legend_above(ax)

    def _label(self, when: str) -> str:
        predicted = self.adapted if when == "adapted" else self.prior
        error = float(np.sqrt(np.mean((predicted - self.truth) ** 2)))
        return f"{when} (RMSE {error:.3g})"


@dataclass(frozen=True)
class DecisionMap:
    """Classes over two features, before and after adapting.

    Attributes
    ----------
    features : tuple of str
        Names of the two features.
    grid : tuple of ndarray
        Values of each feature.
    classes : ndarray
        The classes.
    adapted : ndarray of int, shape (len(grid[1]), len(grid[0]))
        Number of the class predicted at each point after adapting.
    prior : ndarray of int, or None
        The same before adapting, where there is anything.
    support : tuple of ndarray
        Features and class numbers of the support.
    query : tuple of ndarray, or None
        The same of the query, if its classes are known.
    """

    features: tuple[str, str]
    grid: tuple[Array, Array]
    classes: Array
    adapted: Array
    prior: Array | None
    support: tuple[Array, Array]
    query: tuple[Array, Array] | None

    def draw(self, ax: Axes, colour: str = PALETTE[0]) -> None:
        """Draw on axes; the colours are those of the classes."""
        del colour
        colours = [PALETTE[i % len(PALETTE)] for i in range(len(self.classes))]
        ax.pcolormesh(
            *self.grid,
            self.adapted,
            cmap=require("matplotlib.colors").ListedColormap(colours),
            vmin=-0.5,
            vmax=len(colours) - 0.5,
            alpha=0.25,
            linewidth=0,
            rasterized=True,
            shading="nearest",
        )
        for number, label in enumerate(self.classes):
            look: dict[str, Any] = {"color": colours[number], "linestyle": "none"}
            if self.prior is not None and 0 < (self.prior == number).mean() < 1:
                inside = (self.prior == number).astype(float)
                ax.contour(
                    *self.grid, inside, levels=[0.5], colors=[QUIET], linestyles="--", linewidths=1
                )
            if self.query is not None:
                X = self.query[0][self.query[1] == number]
                ax.plot(X[:, 0], X[:, 1], marker=".", markersize=4, alpha=0.7, **look)
            X = self.support[0][self.support[1] == number]
            ax.plot(
                X[:, 0],
                X[:, 1],
                marker=MARKERS[number % len(MARKERS)],
                markersize=9,
                markeredgecolor="white",
                label=f"{label}",
                **look,
            )
        ax.set_xlabel(self.features[0])
        ax.set_ylabel(self.features[1])
        if self.prior is not None:
            ax.plot([], [], "--", color=QUIET, linewidth=1, label="border before adapting")
        legend_above(ax)


@dataclass(frozen=True)
class ProbabilityBars:
    """The probability of one class for each query row, before and after adapting.

    Attributes
    ----------
    labels : ndarray of shape (n_rows,)
        The true class of each row, or the predicted one where the truth is not known.
    adapted : ndarray of shape (n_rows,)
        Its probability after adapting.
    prior : ndarray of shape (n_rows,) or None
        Its probability before adapting, where there is any.
    true : bool
        Whether `labels` are the true classes.
    n_query : int
        Rows of the query, of which these are some.
    """

    labels: Array
    adapted: Array
    prior: Array | None
    true: bool
    n_query: int

    def draw(self, ax: Axes, colour: str = PALETTE[0]) -> None:
        """Draw on axes; the colours are those of the classes."""
        del colour
        names, number = np.unique(self.labels, return_inverse=True)
        order = np.lexsort((-self.adapted, number))
        # One empty place between classes.
        places = np.arange(len(order)) + number[order]
        colours = [PALETTE[i % len(PALETTE)] for i in number[order]]
        ax.bar(places, self.adapted[order], color=colours, width=0.8, alpha=0.8)
        if self.prior is not None:
            ax.plot(places, self.prior[order], "o", ms=4, mfc="white", mec=QUIET, label="before")
        middles = [float(places[number[order] == i].mean()) for i in range(len(names))]
        crowded = sum(len(str(name)) for name in names) > 40
        ax.set_xticks(middles, [str(name) for name in names], rotation=45 if crowded else 0)
        ax.tick_params(axis="x", length=0)
        ax.set_ylim(0, 1)
        shown = len(self.labels)
        rows = "query rows" if shown == self.n_query else f"{shown} of {self.n_query} query rows"
        which = "true" if self.true else "predicted"
        ax.set_xlabel(f"{rows}, by {which} class")
        ax.set_ylabel(f"probability of the {which} class")
        if self.prior is not None:
            ax.fill_between([], [], color=QUIET, alpha=0.5, label="adapted")
            legend_above(ax)


def _inked() -> dict[str, Any]:
    """Return the colour of the text, which no candidate has."""
    return {"color": require("matplotlib").rcParams["text.color"]}


def _hollow(colour: str) -> dict[str, Any]:
    return {"color": colour, "markerfacecolor": "none", "markersize": 5, "alpha": 0.8}
