"""Scores against labelled rows, one line a candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from metaskl.errors import ParameterError
from metaskl.evaluation import shots_curve
from metaskl.evaluation.scoring import within_bounds
from metaskl.report.display import (
    QUIET,
    Display,
    looks,
    per_class,
    require,
    robust_limits,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from metaskl.evaluation import Comparison

# From this ratio of shot counts on, equal steps on the axis are equal factors.
_LOG_RATIO = 4
# More bands than this hide each other.
_FEW = 4
_WIDTH, _HEIGHT = 6.4, 4.4


class ShotsCurveDisplay(Display):
    """Mean score over tasks against the number of labelled rows.

    Learners are drawn in colour with solid lines, baselines in grey with broken ones (dotted:
    pooled, dashed: per task, dash-dotted: shrunk). Every line is named at its end.

    Parameters
    ----------
    curve : DataFrame
        With ``candidate``, ``n_shot``, ``mean``, ``low`` and ``high``.
    families : dict of str
        ``"learner"``, or the family of the baseline, for each candidate.
    metric : str, default="score"
        Name of the score, for the axis.
    lower_is_better : bool, default=False
        Whether the metric is an error.
    per_class : bool, default=False
        Whether shot counts are of rows of each class.

    Attributes
    ----------
    ax_ : Axes
        What was drawn on.
    figure_ : Figure
        Its figure.
    lines_ : dict of Line2D
        The line of each candidate.
    bands_ : dict of FillBetweenPolyCollection
        The bands that were drawn, by candidate.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from metaskl import PerTask, cross_validate_tasks
    >>> from metaskl.report import ShotsCurveDisplay
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(20, 40, random_state=0)
    >>> scores = cross_validate_tasks(PerTask(Ridge()), lines.X, lines.y, lines.groups, cv=2)
    >>> display = ShotsCurveDisplay.from_scores(scores, name="ridge")
    >>> list(display.lines_), display.ax_.get_ylabel()
    (['ridge'], 'root mean squared error (lower is better)')
    """

    def __init__(
        self,
        curve: pd.DataFrame,
        families: dict[str, str],
        *,
        metric: str = "score",
        lower_is_better: bool = False,
        per_class: bool = False,
    ) -> None:
        self.curve = curve
        self.families = families
        self.metric = metric
        self.lower_is_better = lower_is_better
        self.per_class = per_class

    @classmethod
    def from_comparison(
        cls, comparison: Comparison, *, ax: Axes | None = None, **kwargs: Any
    ) -> Self:
        """Draw the result of :func:`~metaskl.compare`.

        Parameters
        ----------
        comparison : Comparison
            What :func:`~metaskl.compare` returned.
        ax : Axes, optional
            Where to draw; by default on a new figure.
        **kwargs
            For :meth:`plot`.

        Returns
        -------
        ShotsCurveDisplay
            The display.
        """
        return cls.from_scores(
            comparison.scores,
            families=comparison.families,
            metric=comparison.metric,
            lower_is_better=comparison.lower_is_better,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_scores(
        cls,
        scores: pd.DataFrame,
        *,
        families: dict[str, str] | None = None,
        name: str = "estimator",
        metric: str | None = None,
        lower_is_better: bool | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw what :func:`~metaskl.cross_validate_tasks` returned.

        Parameters
        ----------
        scores : DataFrame
            One row a task, repeat and shot count, greater is better; with a column
            ``candidate`` a line is drawn for each.
        families : dict of str, optional
            Families of the candidates; by default all are learners.
        name : str, default="estimator"
            What to call the line of scores without a column ``candidate``.
        metric : str, optional
            Name of the score; by default what :func:`~metaskl.cross_validate_tasks` noted in
            ``scores.attrs``, or else "score".
        lower_is_better : bool, optional
            Whether the scores are errors with their sign turned, as scikit-learn's ``neg_``
            scores are. They are drawn without the sign. By default what is noted in
            ``scores.attrs``, or else False.
        ax : Axes, optional
            Where to draw; by default on a new figure.
        **kwargs
            For :meth:`plot`.

        Returns
        -------
        ShotsCurveDisplay
            The display.
        """
        metric = scores.attrs.get("metric", "score") if metric is None else metric
        if lower_is_better is None:
            lower_is_better = scores.attrs.get("lower_is_better", False)
        if "candidate" not in scores:
            scores = scores.assign(candidate=name)
        curve = shots_curve(scores, by="candidate").sort_values("n_shot", kind="stable")
        curve = curve[curve["n_tasks"] > 0]
        if lower_is_better:
            curve = curve.assign(mean=-curve["mean"], low=-curve["high"], high=-curve["low"])
        curve = within_bounds(curve, metric)
        known = dict.fromkeys(curve["candidate"], "learner") | (families or {})
        display = cls(
            curve,
            known,
            metric=metric,
            lower_is_better=lower_is_better,
            per_class=per_class(scores),
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Axes | None = None, *, bands: bool | str = "auto") -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.
        bands : bool or "auto", default="auto"
            Whether to draw the 95 % intervals over tasks. ``"auto"`` draws those of the best
            learner and the best baseline where there are more than four candidates.

        Returns
        -------
        ShotsCurveDisplay
            The display itself.
        """
        if bands not in (True, False, "auto"):
            raise ParameterError(f"bands must be True, False or 'auto', got {bands!r}.")
        ax = self._open(ax, _WIDTH, _HEIGHT)
        means = self.curve.pivot(index="n_shot", columns="candidate", values="mean")
        best = self._best(means)
        few = len(means.columns) <= _FEW
        self.lines_, self.bands_ = {}, {}
        look = looks(self.families)
        for name in means.columns:
            part = self.curve[self.curve["candidate"] == name]
            strong = few or name in best
            (self.lines_[name],) = ax.plot(
                part["n_shot"],
                part["mean"],
                color=look[name].colour,
                linestyle=look[name].line,
                linewidth=2.4 if strong else 1.4,
                marker=look[name].marker,
                markersize=5 if strong else 4,
                zorder=3 if strong else 2,
                label=name,
            )
            if bands is True or (bands == "auto" and strong):
                self.bands_[name] = ax.fill_between(
                    part["n_shot"],
                    part["low"],
                    part["high"],
                    color=look[name].colour,
                    alpha=0.15,
                    linewidth=0,
                    zorder=1,
                )
        self._axes(ax, [value for value in means.index if value > 0], best & set(self.bands_))
        self._name_lines(ax, best if not few else set())
        return self

    def _best(self, means: pd.DataFrame) -> set[str]:
        """Name the best learner and the best baseline, by mean rank over shot counts."""
        ranks = means.rank(axis=1, ascending=self.lower_is_better).mean()
        learner = pd.Series(self.families).reindex(ranks.index) == "learner"
        return {str(part.idxmin()) for part in (ranks[learner], ranks[~learner]) if len(part)}

    def _axes(self, ax: Axes, shots: list[Any], best: set[str]) -> None:
        """Scale and name the axes; the bands of the best are shown whole."""
        logarithmic = len(shots) > 2 and max(shots) >= _LOG_RATIO * min(shots)
        if logarithmic:
            ax.set_xscale("log", base=2)
        texts = [f"{k:.0%}" if isinstance(k, float) else str(k) for k in shots]
        n_tasks = self.curve.groupby("n_shot")["n_tasks"].max() if "n_tasks" in self.curve else None
        if n_tasks is not None and n_tasks.nunique() > 1:  # more rows, other tasks: said below
            texts = [f"{t}\n{n_tasks[k]} tasks" for t, k in zip(texts, shots, strict=True)]
        ax.set_xticks(shots, texts)
        ax.xaxis.set_minor_locator(require("matplotlib.ticker").NullLocator())
        scale = ", log scale" if logarithmic else ""
        whose = "each class" if self.per_class else "the task"
        ax.set_xlabel(f"labelled rows of {whose}{scale}")
        better = "lower" if self.lower_is_better else "higher"
        ax.set_ylabel(f"{self.metric} ({better} is better)")
        ax.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.8)
        low, high = robust_limits(self.curve["mean"], lower_is_better=self.lower_is_better)
        if low is not None:
            shown = self.curve[self.curve["candidate"].isin(best)]
            ax.set_ylim(min(low, shown["low"].min()), max(high, shown["high"].max()))

    def _name_lines(self, ax: Axes, best: set[str]) -> None:
        """Write each line's name at its right end, moved apart where they would overlap."""
        low, high = ax.get_ylim()
        ends = [np.asarray(line.get_xydata(), float)[-1] for line in self.lines_.values()]
        wanted = [(float(end[1]) - low) / (high - low) for end in ends]
        height = ax.get_position().height * self.figure_.get_figheight() * 72
        places = spread(wanted, 1.15 * require("matplotlib").rcParams["font.size"] / height)
        for (name, line), end, place, value in zip(
            self.lines_.items(), ends, places, wanted, strict=True
        ):
            beyond = "" if 0 <= value <= 1 else " (off the axis)"
            ax.annotate(
                f"{name}{beyond}",
                xy=(float(end[0]), min(max(value, 0), 1)),
                xycoords=("data", "axes fraction"),
                xytext=(1.04, place),
                textcoords="axes fraction",
                color=line.get_color(),
                fontsize="small",
                fontweight="bold" if name in best else "normal",
                verticalalignment="center",
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "relpos": (0, 0.5),
                    "color": line.get_color(),
                    "linewidth": 0.6,
                    "shrinkA": 1,
                    "shrinkB": 0,
                },
            )
