"""One HTML page that says whether meta-learning pays, and how that was found."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metaskl.errors import ParameterError
from metaskl.evaluation.comparison import four_digits
from metaskl.report.adaptation import AdaptationDisplay
from metaskl.report.display import (
    PALETTE,
    Display,
    looks,
    require,
    shots_text,
    svg,
)
from metaskl.report.leaderboard import LeaderboardDisplay
from metaskl.report.search_figures import search_figures
from metaskl.report.shots import ShotsCurveDisplay

if TYPE_CHECKING:
    from metaskl.evaluation import Comparison
    from metaskl.search.record import SearchRecord

_PACKAGES = ("metaskl", "torch", "scikit-learn", "numpy")
# Text and axes are drawn in this colour, which the page then replaces by that of its own text.
_INK = "#010203"
_SUFFIXES = (".html", ".htm")


def write_report(
    comparison: Comparison,
    path: str | os.PathLike[str],
    *,
    title: str = "Does meta-learning pay?",
    adaptation: AdaptationDisplay | None = None,
    search: SearchRecord | None = None,
) -> Path:
    """Write a comparison as one HTML page that needs nothing else.

    The verdict in words comes first, then the leaderboard with its intervals, the curves over
    shot counts, the adaptation of a task, the protocol and what failed. Figures are part of
    the page; it loads nothing, and holds scores and the rows of that one task, not the table.

    Parameters
    ----------
    comparison : Comparison
        What :func:`~metaskl.compare` returned.
    path : path-like
        The file; it is overwritten.
    title : str, default="Does meta-learning pay?"
        Heading of the page.
    adaptation : AdaptationDisplay, optional
        What adapting changes for one task.
    search : SearchRecord, optional
        What a search did, ``AutoMetaRegressor.search_``: its history, what mattered, the
        landscape of the learning rates, and the best against the best baseline task by task.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    MissingExtraError
        If matplotlib or jinja2 is not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from metaskl import compare
    >>> from metaskl.report import write_report
    >>> from metaskl.tasks import LinearTasks
    >>> lines = LinearTasks().sample(20, 30, random_state=0)
    >>> result = compare(lines.X, lines.y, lines.groups, learners=["ridge_head"],
    ...                  baselines=["pooled ridge", "per-task ridge"], n_shot=(2, 20), cv=2,
    ...                  learner_params={"max_epochs": 1})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_report(result, pathlib.Path(folder) / "report.html")
    ...     "Verdict" in file.read_text(encoding="utf-8")
    True
    """
    path = check_suffix(path)
    jinja2 = require("jinja2")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        files("metaskl.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    )
    drawn = _figures(comparison, adaptation, search)
    head, *sentences = [line.strip() for line in str(comparison.verdict).splitlines()]
    page = template.render(
        title=title,
        today=date.today().isoformat(),
        verdict=head.removeprefix("Verdict:").strip().capitalize(),
        tone=_tone(comparison),
        remarks=[sentence.strip("()") for sentence in sentences if sentence.startswith("(")],
        sentences=[sentence for sentence in sentences if not sentence.startswith("(")],
        metric=comparison.metric,
        better="lower" if comparison.lower_is_better else "higher",
        held_out=comparison.held_out,
        shots=_shots(comparison),
        rows=_rows(comparison),
        figures=[{"markup": markup, **texts} for markup, texts in drawn],
        protocol=_protocol(comparison),
        failures=comparison.failures,
    )
    path.write_text(page, encoding="utf-8")
    return path


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """Return the path of a page, which must not promise another format.

    Raises
    ------
    ParameterError
        If it ends in another suffix than ``.html`` or ``.htm``.
    """
    path = Path(path)
    if path.suffix and path.suffix.lower() not in _SUFFIXES:
        raise ParameterError(
            f"the report must be a file that ends in .html, got {str(path)!r}: it is an HTML page. "
            f"Give {str(path.with_suffix('.html'))!r}; a browser prints it to PDF."
        )
    return path


def _tone(comparison: Comparison) -> str:
    """Return the colour of the verdict: it pays, it pays sometimes, it does not."""
    signs = [difference.sign for difference in comparison.verdict.against_baselines]
    if signs and all(sign > 0 for sign in signs):
        return "yes"
    return "depends" if any(sign > 0 for sign in signs) else "no"


def _shots(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the shot counts as texts, with the tasks that were large enough for each."""
    tasks = comparison.scores.dropna(subset="score").groupby("n_shot")["task"].nunique()
    each, several = comparison.per_class, comparison.held_out
    return [
        {
            "text": shots_text(k, per_class=each),
            "tasks": f"{n} {_one_of(several) if n == 1 else several}",
        }
        for k, n in zip(tasks.index.tolist(), tasks.tolist(), strict=True)
    ]


def _one_of(several: str) -> str:
    """Return the singular of what is held out."""
    return {"tasks": "task", "sets of classes": "set of classes"}[several]


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the leaderboard as texts, the best mean at each shot count marked."""
    board: Any = comparison.leaderboard()
    times = comparison.scores.groupby("candidate")["fit_time"].mean()
    shots = sorted(set(comparison.scores.dropna(subset="score")["n_shot"].tolist()))
    pick = np.nanmin if comparison.lower_is_better else np.nanmax
    best = {k: pick(board[k]["mean"]) for k in shots}
    return [
        {
            "name": name,
            "family": str(board.at[name, ("", "family")]),
            "rank": f"{board.at[name, ('', 'rank')]:.2f}",
            "seconds": f"{times[name]:.2g}" if times[name] < 10 else f"{times[name]:.0f}",
            "cells": [
                {
                    "mean": _number(board.at[name, (k, "mean")]),
                    "interval": f"{_number(board.at[name, (k, 'low')])} to "
                    f"{_number(board.at[name, (k, 'high')])}",
                    "best": board.at[name, (k, "mean")] == best[k],
                }
                for k in shots
            ],
        }
        for name in board.index
    ]


def _number(value: Any) -> str:
    return "–" if np.isnan(value) else four_digits(value)


def _figures(
    comparison: Comparison, adaptation: AdaptationDisplay | None, search: SearchRecord | None
) -> list[tuple[str, dict[str, str]]]:
    """Return each figure as SVG, with its heading and caption."""
    each, tasks = comparison.per_class, comparison.held_out
    smallest = shots_text(min(comparison.scores["n_shot"].tolist()), per_class=each)
    found: list[tuple[Display, dict[str, str]]] = []
    with require("matplotlib").rc_context(_ink()):
        found.append(
            (
                ShotsCurveDisplay.from_comparison(comparison),
                {
                    "heading": "What labelled rows bring",
                    "caption": f"Mean over {tasks}. Learners: coloured, solid. Baselines: grey; "
                    "dotted pooled, dashed per task, dash-dotted shrunk. Shaded: 95 % "
                    f"intervals over {tasks}. Where the numbers of tasks are told they differ: "
                    "more labelled rows are then of other tasks, and a line is no curve of "
                    "learning.",
                },
            )
        )
        found.append(
            (
                LeaderboardDisplay.from_comparison(comparison),
                {
                    "heading": f"With {smallest} of a task",
                    "caption": f"Mean and 95 % interval over {tasks}. The intervals hold how "
                    "these differ; the verdict compares one by one and is sharper.",
                },
            )
        )
        if adaptation is not None:
            look = looks(comparison.families).get(adaptation.candidate)
            drawn = AdaptationDisplay(adaptation.view).plot(
                colour=PALETTE[0] if look is None else look.colour
            )
            which = f"{adaptation.title}. " if adaptation.title else ""
            caption = f"{which}What is predicted for one task before and after adapting to it."
            found.append((drawn, {"heading": "One task", "caption": caption}))
        if search is not None:
            found += search_figures(comparison, search)
        return [
            (_inline(svg(display.figure_), f"f{number}-", texts["heading"]), texts)
            for number, (display, texts) in enumerate(found)
        ]


def _ink() -> dict[str, Any]:
    """Return matplotlib's settings: colours to be replaced, and letters for a small screen."""
    names = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {**dict.fromkeys(names, _INK), "font.size": 11}


def _inline(markup: str, prefix: str, label: str) -> str:
    """Make a figure part of a page: its own ids, the page's colour of text, a text for it."""
    markup = re.sub(r'\bid="', f'id="{prefix}', markup)
    markup = re.sub(r'href="#', f'href="#{prefix}', markup)
    markup = re.sub(r"url\(#", f"url(#{prefix}", markup)
    markup = re.sub(r"<metadata>.*?</metadata>", "", markup, flags=re.DOTALL)
    markup = markup.replace(_INK, "currentColor")
    markup = re.sub(r' (width|height)="[\d.]+pt"', "", markup, count=2)
    return markup.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _protocol(comparison: Comparison) -> list[tuple[str, str]]:
    """Return how it was measured, as pairs of texts."""
    given = comparison.protocol
    held_out = {
        "tasks": "whole tasks: none of their rows is seen in training",
        "rows": "rows of tasks that are all seen in training",
    }
    each = comparison.per_class
    seen = ("holdout", "folds", "repeats", "n_shot", "n_tasks", "n_rows", "kind", "tasks_are")
    tasks = comparison.held_out
    pairs = [
        ("Data", f"{given['n_rows']:,} rows of {given['n_tasks']:,} {tasks}, {given['kind']}"),
        ("Held out", held_out[given["holdout"]].replace("tasks", tasks, 1)),
        ("Folds", str(given["folds"])),
        (
            "Draws of support and query",
            f"{given['repeats']} for each {_one_of(tasks)}, the same for all",
        ),
        ("Labelled rows", ", ".join(shots_text(k, per_class=each) for k in given["n_shot"])),
        ("Transductive", _transductive(given)),
        ("Seed", str(given["random_state"])),
        ("Intervals", f"95 %, over {tasks} (Student)"),
    ]
    told = {*seen, "transductive", "transductive_candidates", "random_state"}
    others = {name: v for name, v in given.items() if name not in told and v not in ([], None)}
    pairs += [(name.replace("_", " "), str(v)) for name, v in others.items()]
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    pairs.append(("Versions", ", ".join([*versions, f"Python {platform.python_version()}"])))
    return pairs


def _transductive(protocol: dict[str, Any]) -> str:
    """Say whose predictions of a row depend on the other query rows."""
    if not protocol["transductive"]:
        return "no: query rows do not inform others"
    return f"yes: query rows inform others in {', '.join(protocol['transductive_candidates'])}"
