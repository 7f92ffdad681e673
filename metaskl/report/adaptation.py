"""What adapting to a support changes, drawn as fits the estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone, is_classifier
from sklearn.utils import _safe_indexing

from metaskl.errors import ParameterError, named
from metaskl.estimators.adapt import adapt, adapt_groups
from metaskl.evaluation.class_sets import tasks_to_score
from metaskl.evaluation.cross_validate import fit_rows, private_ways
from metaskl.report.before_after import (
    bars_view,
    curve_view,
    draw_one,
    is_numeric,
    map_view,
    predict_before,
    predict_with_std,
)
from metaskl.report.display import PALETTE, Display
from metaskl.report.views import Curve, DecisionMap, PredictedTrue, ProbabilityBars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[Any]
_KINDS = ("auto", "curve", "predicted-true", "map", "bars")
_WIDTH, _HEIGHT = 6.4, 4.2


class AdaptationDisplay(Display):
    """What an estimator predicts for a task before and after adapting to its support.

    Parameters
    ----------
    view : Curve, PredictedTrue, DecisionMap or ProbabilityBars
        What to draw.
    title : str, default=""
        What task it is, for the report.
    candidate : str, default=""
        What the estimator is called in a comparison: the report draws it in the colour that it
        has in the other figures.

    Attributes
    ----------
    ax_ : Axes
        What was drawn on.
    figure_ : Figure
        Its figure.

    Examples
    --------
    >>> from metaskl import RidgeHeadRegressor
    >>> from metaskl.report import AdaptationDisplay
    >>> from metaskl.tasks import SinusoidTasks
    >>> waves = SinusoidTasks().sample(50, 20, random_state=0)
    >>> meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=5, random_state=0)
    >>> meta = meta.fit(waves.X, waves.y, groups=waves.groups)
    >>> new = SinusoidTasks().sample(1, 30, random_state=1)
    >>> display = AdaptationDisplay.from_estimator(
    ...     meta, new.X[:5], new.y[:5], new.X[5:], new.y[5:])
    >>> type(display.view).__name__, display.view.grid.shape
    ('Curve', (200,))
    """

    def __init__(
        self,
        view: Curve | PredictedTrue | DecisionMap | ProbabilityBars,
        *,
        title: str = "",
        candidate: str = "",
    ) -> None:
        self.view = view
        self.title = title
        self.candidate = candidate

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X_support: Any,
        y_support: Any,
        X_query: Any,
        y_query: Any = None,
        *,
        feature: int | str = 0,
        kind: str = "auto",
        ax: Axes | None = None,
    ) -> Self:
        """Adapt a fitted estimator to a support and draw what it changes.

        Parameters
        ----------
        estimator : estimator
            A fitted meta-learner, baseline, or Pipeline of one.
        X_support, y_support : array-like
            The support.
        X_query : array-like
            Rows to predict.
        y_query : array-like, optional
            Their targets, if they are known.
        feature : int or str, default=0
            Along which feature a curve is drawn.
        kind : {"auto", "curve", "predicted-true", "map", "bars"}, default="auto"
            What to draw. ``"auto"``: for numbers a curve along the only feature, or with several
            features predicted against true targets, if these are known; for classes a map over
            two features, or else a bar for the probability of each query row's class. A
            curve over one of several features holds the others at the support's middle values.
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        AdaptationDisplay
            The display.

        Raises
        ------
        ParameterError
            If the kind does not fit the estimator or the data.
        """
        y_support = np.asarray(y_support)
        adapted = adapt(estimator, X_support, y_support)
        task = (X_support, y_support, X_query, y_query)
        return cls(_view(estimator, adapted, *task, feature=feature, kind=kind)).plot(ax)

    @classmethod
    def from_task(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        groups: Any = None,
        *,
        task: Any = None,
        n_shot: int = 5,
        feature: int | str = 0,
        kind: str = "auto",
        random_state: int = 0,
        ax: Axes | None = None,
    ) -> Self:
        """Fit on all tasks but one, adapt to a few rows of that one, and draw what it changes.

        Parameters
        ----------
        estimator : estimator
            A meta-learner, baseline, or Pipeline of one; it is cloned.
        X, y, groups
            The rows of all tasks, as in :func:`~metaskl.compare`.
        task : object, optional
            Id of the task to hold out; by default one of middle size.
        n_shot : int, default=5
            Labelled rows of it; rows of each class with ``label_space="task"``.
        feature, kind
            As in :meth:`from_estimator`.
        random_state : int, default=0
            Seed of the draw.
        ax : Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        AdaptationDisplay
            The display.

        Raises
        ------
        TaskError
            If the task is not there or too small.
        """
        y, ways = np.asarray(y), private_ways(estimator)
        X, ids, grouped = tasks_to_score(
            X, y, groups, n_way=ways, n_shot=n_shot, random_state=random_state
        )
        draw = draw_one(y, ids, ways, task, n_shot, random_state)
        others = np.flatnonzero(ids != draw.task)
        fitted = fit_rows(clone(estimator), X, y, ids if grouped else None, others)
        X_support, X_query = _safe_indexing(X, draw.support), _safe_indexing(X, draw.query)
        support, query = (X_support, y[draw.support]), (X_query, y[draw.query])
        (adapted,) = adapt_groups(fitted, *support, np.zeros(len(draw.support), int)).values()
        view = _view(fitted, adapted, *support, *query, feature=feature, kind=kind)
        name = "Task" if grouped else "Set of classes"
        title = f"{name} {draw.task}, adapted to {len(draw.support)} of its rows"
        return cls(view, title=title).plot(ax)

    def plot(self, ax: Axes | None = None, *, colour: str = PALETTE[0]) -> Self:
        """Draw the view.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default on a new figure.
        colour : str, optional
            Colour of what is adapted, in views where it has one.

        Returns
        -------
        AdaptationDisplay
            The display itself.
        """
        ax = self._open(ax, _WIDTH, _HEIGHT)
        self.view.draw(ax, colour)
        return self


def _view(
    estimator: Any,
    adapted: Any,
    X_support: Any,
    y_support: Array,
    X_query: Any,
    y_query: Any,
    *,
    feature: int | str,
    kind: str,
) -> Any:
    """Predict what is to be drawn."""
    X_support, X_query = _rows(X_support), _rows(X_query)
    y_query = None if y_query is None else np.ravel(np.asarray(y_query))
    if y_support.ndim > 1 and y_support.shape[1] > 1:
        raise ParameterError(
            f"y_support must hold one target a row, got {y_support.shape[1]}. Draw one of them."
        )
    kind = _choose(kind, estimator, X_support, y_query)
    task = (estimator, adapted, X_support, np.ravel(y_support), X_query, y_query)
    if kind == "curve":
        return curve_view(*task, feature)
    if kind == "map":
        return map_view(*task)
    if kind == "bars" or y_query is None:
        return bars_view(estimator, adapted, X_query, y_query)
    mean, std = predict_with_std(adapted, X_query)
    return PredictedTrue(y_query, mean, predict_before(estimator, X_query), std)


def _rows(X: Any) -> Any:
    return X if hasattr(X, "columns") else np.asarray(X)


def _choose(kind: str, estimator: Any, X: Any, y_query: Array | None) -> str:
    """Return the kind of view, checked against what is to be drawn."""
    if kind not in _KINDS:
        raise ParameterError(f"kind must be one of {_KINDS}, got {kind!r}.")
    table = len(X.shape) == 2
    numeric = [table and is_numeric(X, i) for i in range(X.shape[1])]
    if is_classifier(estimator):
        fitting = ["map", "bars"] if len(numeric) == 2 and all(numeric) else ["bars"]
    else:
        fitting = ["predicted-true"] if y_query is not None else []
        if any(numeric):
            fitting.insert(0 if len(numeric) == 1 else len(fitting), "curve")
    if kind == "auto" and fitting:
        return fitting[0]
    if kind not in fitting:
        raise ParameterError(
            f"kind must fit the task, got {kind!r} for {named(estimator)} and rows of "
            f"shape {tuple(X.shape[1:])}. "
            + (f"Here {fitting} can be drawn." if fitting else "Give y_query too.")
        )
    return kind
