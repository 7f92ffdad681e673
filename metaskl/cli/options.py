"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from metaskl.errors import ParameterError


class Kinds(StrEnum):
    """What a target can be."""

    auto = "auto"
    regression = "regression"
    classification = "classification"


class LabelSpaces(StrEnum):
    """Whose classes they are."""

    shared = "shared"
    task = "task"


class Holdouts(StrEnum):
    """What is held out."""

    tasks = "tasks"
    rows = "rows"


Target = Annotated[str, typer.Option(help="Column to predict.")]
Task = Annotated[str, typer.Option(help="Column that names the task of each row.")]
Drop = Annotated[
    list[str] | None, typer.Option(help="Column that is no feature; may be given several times.")
]
Sep = Annotated[str, typer.Option(help="What separates the columns of a csv; 'tab' for tabs.")]
Kind = Annotated[Kinds, typer.Option(help="What the target is.")]
LabelSpace = Annotated[
    LabelSpaces, typer.Option(help="Whether tasks share their classes, or each has its own.")
]
Holdout = Annotated[
    Holdouts, typer.Option(help="Whether whole tasks are new, or rows of tasks that are seen.")
]
NWay = Annotated[int, typer.Option(help="Classes of an episode, with --label-space task.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of meta-training.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but errors.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Model = Annotated[Path, typer.Argument(help="A file written by fit or adapt.", show_default=False)]


def names(text: str) -> Any:
    """Return "all", or the names of a list with commas; "none" is an empty one."""
    if text.strip() == "all":
        return "all"
    found = [part.strip() for part in text.split(",") if part.strip()]
    return [] if found == ["none"] else found


def shot_counts(text: str) -> tuple[int | float, ...]:
    """Return the numbers of a list with commas: rows, or fractions of them.

    Raises
    ------
    ParameterError
        If one is no number.
    """
    try:
        return tuple(
            float(part) if "." in part else int(part) for part in text.split(",") if part.strip()
        )
    except ValueError as error:
        raise ParameterError(
            f"--n-shot must be numbers of labelled rows separated by commas, got {text!r}. Give "
            "for example --n-shot 5,10,20."
        ) from error
