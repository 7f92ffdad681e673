"""What the displays share: the door to matplotlib, figures without pyplot, colours."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from metaskl.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart, without black and yellow
# (these show on white and on black), and four more of the same strength.
_OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
PALETTE = (*_OKABE_ITO, "#8C6BB1", "#999933", "#CC6677", "#44AA99")
QUIET = "#7f7f7f"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_FAMILY_LOOKS = {
    "pooled": (":", "s"),
    "per-task": ("--", "^"),
    "shrunk": ("-.", "D"),
    "baseline": ("--", "s"),
}


@dataclass(frozen=True)
class Look:
    """How a candidate is drawn, in every figure.

    Attributes
    ----------
    colour : str
        Of its own for a learner, grey for a baseline.
    line : str
        Solid for a learner, broken by family for a baseline.
    marker : str
        Its point.
    """

    colour: str
    line: str
    marker: str


def looks(families: Mapping[str, str]) -> dict[str, Look]:
    """Return how each candidate is drawn, whichever figure it is and in whatever order.

    Parameters
    ----------
    families : mapping of str to str
        ``"learner"``, or the family of the baseline, for each candidate.
    """
    learners = sorted(name for name, family in families.items() if family == "learner")
    found = {
        name: Look(PALETTE[i % len(PALETTE)], "-", MARKERS[i % len(MARKERS)])
        for i, name in enumerate(learners)
    }
    for name, family in families.items():
        if family != "learner":
            found[name] = Look(QUIET, *_FAMILY_LOOKS.get(family, _FAMILY_LOOKS["baseline"]))
    return found


def per_class(scores: pd.DataFrame) -> bool:
    """Say whether shot counts are rows of each class, from scores of a comparison."""
    whole = all(isinstance(k, int) for k in scores["n_shot"].tolist())
    return bool(whole and "n_support" in scores and (scores["n_support"] > scores["n_shot"]).any())


def shots_text(n_shot: int | float, *, per_class: bool = False) -> str:
    """Return a shot count in words: 1 row, 25% of rows, 5 rows of each class."""
    if isinstance(n_shot, float):
        return f"{n_shot:.0%} of rows"
    return f"{n_shot} row{'s' * (n_shot != 1)}{' of each class' * per_class}"


def require(module: str) -> Any:
    """Import a library of the extra `report`, or say how to get it.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise MissingExtraError(
            f"figures and reports need {library}, which cannot be imported ({error}). Install "
            'it with pip install "metaskl[report]".'
        ) from error


class Display:
    """A figure that keeps what it draws.

    Attributes
    ----------
    ax_ : Axes
        What was drawn on.
    figure_ : Figure
        Its figure.
    """

    ax_: Axes
    figure_: Figure

    def _open(self, ax: Axes | None, width: float, height: float) -> Axes:
        """Return the axes to draw on: those given, or those of a figure that pyplot ignores."""
        if ax is None:
            figure = require("matplotlib.figure").Figure(
                figsize=(width, height), layout="constrained"
            )
            ax = figure.add_subplot()
        self.ax_ = ax
        self.figure_ = ax.get_figure(root=True)  # type: ignore[assignment]
        ax.spines[["top", "right"]].set_visible(False)
        return ax

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw."""
        raise NotImplementedError  # pragma: no cover

    def _repr_svg_(self) -> str:
        """Show the figure in a notebook."""
        return svg(self.figure_)


def svg(figure: Figure) -> str:
    """Return a figure as SVG, without the head that a page may not hold twice."""
    content = io.StringIO()
    with require("matplotlib").rc_context({"svg.hashsalt": "metaskl"}):
        # Nothing that differs from run to run.
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    text = content.getvalue()
    return text[text.index("<svg") :]


def legend_above(ax: Axes, n_columns: int = 5) -> None:
    """Put the legend above the axes, where it hides nothing."""
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=n_columns,
        frameon=False,
        fontsize="small",
        columnspacing=1.2,
    )


def robust_limits(
    values: Iterable[float], *, lower_is_better: bool
) -> tuple[float | None, float | None]:
    """Return limits that keep one hopeless candidate from flattening all the others.

    Only the bad end is ever cut, and only if the worst value lies further from the best than
    three times what three quarters of the values do.
    """
    known = np.asarray([value for value in values if np.isfinite(value)], dtype=float)
    if len(known) < 4:
        return None, None
    signed = known if lower_is_better else -known
    best, most = signed.min(), np.quantile(signed, 0.75)
    reach = best + 3 * (most - best)
    if signed.max() <= reach or most == best:
        return None, None
    margin = 0.05 * (reach - best)
    limits = best - margin, reach
    return limits if lower_is_better else (-limits[1], -limits[0])


def spread(wanted: npt.ArrayLike, gap: float) -> npt.NDArray[np.float64]:
    """Move places on [0, 1] apart by at least a gap, in their order and as little as possible.

    Where there are too many for the gap, it is made smaller.
    """
    place: npt.NDArray[np.float64] = np.clip(np.asarray(wanted, dtype=float), 0, 1)
    if len(place) < 2:
        return place
    gap = min(gap, 1 / (len(place) - 1))
    order = np.argsort(place, kind="stable")
    moved = place[order]
    steps = gap * np.arange(len(moved))
    # With the gaps taken out, the nearest places in order are those of an isotonic regression.
    flat = _increasing(moved - steps)
    places: npt.NDArray[np.float64] = np.empty_like(place)
    places[order] = np.clip(flat, 0, 1 - steps[-1]) + steps
    return places


def _increasing(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the nearest values that never decrease."""
    from sklearn.isotonic import isotonic_regression

    return np.asarray(isotonic_regression(values), dtype=float)
