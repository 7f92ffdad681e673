"""Options that several commands share."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from metaskl.errors import ParameterError

# As one writes them in a shell.
_WORDS = {"true": "True", "false": "False", "none": "None"}
# Hyper-parameters that a command sets itself.
_OWN_OPTIONS = {
    name: f"--{name.replace('_', '-')}" for name in ("label_space", "max_epochs", "n_shot", "n_way")
} | {"random_state": "--seed"}


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
Task = Annotated[
    str | None,
    typer.Option(
        help="Column that names the task of each row; with --label-space task it may be left out.",
        show_default=False,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(help="Columns that are no features, with commas or --drop for each."),
]
Sep = Annotated[str, typer.Option(help="What separates the columns of a csv; 'tab' for tabs.")]
Kind = Annotated[Kinds, typer.Option(help="What the target is.")]
LabelSpace = Annotated[
    LabelSpaces, typer.Option(help="Whether tasks share their classes, or each has its own.")
]
Holdout = Annotated[
    Holdouts, typer.Option(help="Whether whole tasks are new, or rows of tasks that are seen.")
]
NWay = Annotated[int, typer.Option(help="Classes of an episode, with --label-space task.", min=2)]
Ways = Annotated[
    str,
    typer.Option(
        "--n-way",
        help="Classes of an episode, with --label-space task; or all, for those of each task.",
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Epochs of meta-training.", min=1)]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        help="A hyper-parameter of the learners, as name=value; once for each.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything that is drawn.", min=0, max=2**32 - 1)]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Say nothing on stderr but errors, and what makes a result worthless."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead.")]
Trust = Annotated[
    list[str] | None,
    typer.Option(help="Types of a plugin to allow in the model file, by their full names."),
]
Model = Annotated[Path, typer.Argument(help="A file written by fit or adapt.", show_default=False)]


def kind_of(kind: Kinds, label_space: LabelSpaces) -> str:
    """Return what the target is: private classes may be numbered, and many."""
    private = label_space == LabelSpaces.task and kind == Kinds.auto
    return Kinds.classification.value if private else kind.value


def require_task(task: str | None, label_space: LabelSpaces) -> None:
    """Refuse tables without a task column, but for classes of each task's own.

    Raises
    ------
    BadParameter
        It says when the option may be left out.
    """
    if task is None and label_space != LabelSpaces.task:
        raise typer.BadParameter(
            "it must name the column that tells the tasks apart. It may be left out with "
            "--label-space task only, where the classes of --target are then one pool.",
            param_hint="'--task'",
        )


def learner_params(values: Sequence[str] | None, max_epochs: int | None) -> dict[str, Any]:
    """Return hyper-parameters given as name=value: numbers, true, false, none, lists, or texts.

    Raises
    ------
    BadParameter
        If one has no name, is given twice, or has an option of its own.
    """
    found: dict[str, Any] = {} if max_epochs is None else {"max_epochs": max_epochs}
    for value in values or ():
        name, equals, text = (part.strip() for part in value.partition("="))
        if not (name and equals and text):
            raise _bad(f"it must be name=value, got {value!r}. Give for example inner_lr=0.1.")
        if name in _OWN_OPTIONS:
            raise _bad(f"{name} has an option of its own, {_OWN_OPTIONS[name]}. Give that.")
        if name in found:
            raise _bad(f"it must set {name} once, got it again. Leave one out.")
        try:
            found[name] = ast.literal_eval(_WORDS.get(text.lower(), text))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            found[name] = text
    return found


def ways(text: str) -> int | Literal["all"]:
    """Return the classes of an episode: a number, or all.

    Raises
    ------
    BadParameter
        If it is neither, or below 2.
    """
    if text == "all":
        return "all"
    if not text.isdecimal() or int(text) < 2:
        raise typer.BadParameter(
            f"it must be all, or a number of classes of at least 2, got {text!r}. Give for "
            "example 5.",
            param_hint="'--n-way'",
        )
    return int(text)


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="'--param'")


def listed(values: Sequence[str] | None) -> list[str]:
    """Return the parts of a list with commas, or of an option that was given several times."""
    return [part.strip() for value in values or () for part in value.split(",") if part.strip()]


def names(values: Sequence[str] | None, default: str = "all") -> Any:
    """Return the names that were listed; all or those recommended in a word, none for "none"."""
    found = listed(values) or [default]
    if found in (["all"], ["recommended"]):
        return found[0]
    return [] if found == ["none"] else found


def columns(values: Sequence[str] | None, there: Sequence[str]) -> list[str]:
    """Return the columns that were listed; one whose name has a comma may be named in full."""
    return [name for v in values or () for name in ([v] if v in there else listed([v]))]


def shot_counts(values: Sequence[str] | None, default: Sequence[int]) -> tuple[int | float, ...]:
    """Return the numbers that were listed: rows, or fractions of them.

    Raises
    ------
    ParameterError
        If one is no number.
    """
    try:
        found = [float(part) if "." in part else int(part) for part in listed(values)]
    except ValueError as error:
        raise ParameterError(
            "--n-shot must be numbers of labelled rows separated by commas, got "
            f"{','.join(values or ())!r}. Give for example --n-shot 5,10,20."
        ) from error
    return tuple(found or default)


def shot_range(values: Sequence[str] | None, default: int) -> int | tuple[int, int]:
    """Return one number of rows, or the least and the most.

    Raises
    ------
    ParameterError
        If they are not such numbers.
    """
    found = shot_counts(values, [default])
    whole = [count for count in found if isinstance(count, int) and count > 0]
    if whole != list(found) or len(whole) > 2 or whole != sorted(whole):
        raise ParameterError(
            "--n-shot must be a number of labelled rows, or the least and the most, got "
            f"{','.join(map(str, found))!r}. Give for example --n-shot 5, or --n-shot 5,20."
        )
    return whole[0] if len(whole) == 1 else (whole[0], whole[1])
