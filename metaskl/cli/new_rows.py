"""Rows of a new task: read by the columns, kinds and texts of the table that was fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from metaskl.cli.features import as_features
from metaskl.cli.output import counted
from metaskl.cli.tables import read_table, require_columns, to_labels, to_text
from metaskl.errors import TableError
from metaskl.tasks.groups import tasks_named

# More texts than this are not listed in a warning.
_SHOWN = 5


def read_rows(
    model: Any, path: Path, sep: str, *, labelled: bool
) -> tuple[pd.DataFrame, Any, list[str]]:
    """Read the features of new rows, and their targets if they are a support.

    Parameters
    ----------
    model : Pipeline
        What ``metaskl fit`` or ``adapt`` wrote.
    path : Path
        The file.
    sep : str
        What separates its columns.
    labelled : bool
        Whether the rows are a support.

    Returns
    -------
    X : DataFrame
        Features.
    y : ndarray or None
        Targets of a support.
    notes : list of str
        What the user should know about the rows.

    Raises
    ------
    TableError
        If a column is missing, or holds what it did not hold in fit.
    """
    table = model.table_
    rows = read_table(path, sep)
    named = [("the target", table["target"])] if labelled else []
    named += [("a feature of the model", name) for name in (*table["numeric"], *table["text"])]
    require_columns(rows, named, path)
    y = _targets(rows[table["target"]], table) if labelled else None
    X = as_features(rows, table["numeric"], table["text"])
    notes = _several_tasks(rows, table["task"]) if labelled else []
    return X, y, notes + _unseen(model, X)


def _several_tasks(rows: pd.DataFrame, task: str | None) -> list[str]:
    """Warn of a support that holds rows of more than one task."""
    names = tasks_named(rows, task)
    if len(names) < 2:
        return []
    return [
        f"Warning: {task!r} names {len(names)} tasks ({', '.join(map(str, names[:_SHOWN]))}"
        f"{', …' if len(names) > _SHOWN else ''}), adapted to as one. Give a file for each."
    ]


def _unseen(model: Any, X: pd.DataFrame) -> list[str]:
    """Warn of texts that fit never saw, which count as none of those it knows."""
    names = model.table_["text"]
    if not names:
        return []
    encoder = model[0].named_transformers_["text"][-1]
    notes = []
    for name, known in zip(names, encoder.categories_, strict=True):
        new = X[name][X[name].notna() & ~X[name].isin(known)]
        if len(new):
            texts = list(dict.fromkeys(new))
            shown = ", ".join(map(repr, texts[:_SHOWN]))
            shown += f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
            notes.append(
                f"Warning: {name!r} holds what was not there in fit, in {len(new)} of "
                f"{counted(len(X), 'row')}: {shown}. It counts as none of the known texts."
            )
    return notes


def _targets(column: pd.Series, table: dict[str, Any]) -> Any:
    """Return the targets of a support as those of fit were.

    Raises
    ------
    TableError
        If some are missing, or no numbers where numbers are needed.
    """
    if column.isna().any():
        raise TableError(
            f"column {column.name!r} must be filled in every row of the support, got "
            f"{counted(int(column.isna().sum()), 'gap')}. Leave those rows out."
        )
    if table["kind"] == "regression":
        return as_features(column.to_frame(), [str(column.name)], [])[column.name].to_numpy()
    if not table["numbered_classes"]:
        return to_text(column).to_numpy().astype(str)
    text = to_text(column)
    labels = to_labels(text.str.replace(r"\.0+$", "", regex=True))  # 1.0 where a table had gaps
    if labels.dtype.kind != "i":
        wrong = text[~text.str.fullmatch(r"-?\d+(\.0+)?")]
        raise TableError(
            f"column {column.name!r} must hold whole numbers, as in fit, got "
            f"{str(wrong.iloc[0] if len(wrong) else text.iloc[0])!r}. Use the classes of the table "
            "that was fitted."
        )
    return labels
