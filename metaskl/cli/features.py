"""Which columns become features, and how: the preprocessing before every candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from metaskl.cli.options import columns
from metaskl.cli.output import counted
from metaskl.cli.tables import require_columns, to_labels, to_numbers, to_text
from metaskl.errors import TableError
from metaskl.evaluation.candidates import target_kind

# Most columns that one text column becomes; rarer texts share one.
_MOST_CATEGORIES = 20
# A text column with more different texts than this, and than a fifth of its rows, is left out.
_MOST_TEXTS = 20
_MOST_TEXTS_PART = 0.2
# A rank correlation with the target beyond this says that the feature is the target itself.
_SUSPICIOUS = 0.999


@dataclass(frozen=True)
class Table:
    """A table taken apart.

    Attributes
    ----------
    X : DataFrame
        Features: floats, and texts with NaN where they are missing.
    y : ndarray of shape (n_rows,)
        Targets.
    groups : ndarray of shape (n_rows,) or None
        Task ids; without a task column none.
    kind : {"regression", "classification"}
        What the targets are.
    numeric, text : list of str
        Names of the features.
    notes : list of str
        What was done, for the user.
    """

    X: pd.DataFrame
    y: Any
    groups: Any
    kind: str
    numeric: list[str]
    text: list[str]
    notes: list[str]

    def preprocess(self) -> ColumnTransformer:
        """Return what turns the features into standardised numbers without gaps."""
        numbers = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
        )
        texts = make_pipeline(
            SimpleImputer(strategy="most_frequent"),
            OneHotEncoder(
                handle_unknown="ignore", sparse_output=False, max_categories=_MOST_CATEGORIES
            ),
        )
        return ColumnTransformer(
            [("numeric", numbers, self.numeric), ("text", texts, self.text)], sparse_threshold=0
        )


def take_apart(
    table: pd.DataFrame,
    path: Path,
    *,
    target: str,
    task: str | None = None,
    drop: Sequence[str] = (),
    kind: str = "auto",
) -> Table:
    """Split a table into features, targets and task ids.

    Raises
    ------
    TableError
        If a named column is missing, or nothing is left to learn from.
    """
    drop = columns(drop, table.columns.tolist())
    taken = [("--target", target)] if task is None else [("--target", target), ("--task", task)]
    named = [*taken, *[("--drop", name) for name in drop]]
    require_columns(table, named, path)
    if target == task:
        raise TableError(f"--target and --task must be two columns, got {target!r} for both.")
    notes = []
    own = [column for _, column in taken]
    known = table[own].notna().all(axis=1)
    if not known.all():
        without = " or ".join(map(repr, own))
        notes.append(f"Left out: {counted((~known).sum(), 'row')} without {without}.")
        table = table[known].reset_index(drop=True)
    if table.empty:
        both = " and ".join(map(repr, own))
        raise TableError(f"{str(path)!r} must have rows with {both}, got none.")
    y, kind = _targets(table[target], kind)
    groups = None if task is None else to_labels(table[task])
    tasks = y if groups is None else groups  # without a task column it is classes that are new
    numeric, text, left_out = _choose(table.drop(columns=[*own, *drop]), tasks)
    if not numeric and not text:
        why = "; ".join(f"{name!r} {reason}" for name, reason in left_out.items())
        raise TableError(
            f"{str(path)!r} must have a column to predict {target!r} from, got none"
            f"{f' that can be used: {why}' if why else ''}."
        )
    _require_variety(groups, task, y if kind == "classification" else None, target)
    X = as_features(table, numeric, text)
    n_tasks = len(np.unique(tasks))
    of = f"{n_tasks:,} classes" if task is None else f"{counted(n_tasks, 'task')} ({task!r})"
    notes.insert(0, f"{counted(len(table), 'row')} of {of}; {kind} of {target!r}.")
    notes.append(_summary(X, numeric, text))
    if kind == "regression":
        notes += [_warning(name, target) for name in numeric if _follows(X[name], y)]
    notes += [f"Left out: {name!r} {reason}." for name, reason in left_out.items()]
    return Table(X, y, groups, kind, numeric, text, notes)


def as_features(table: pd.DataFrame, numeric: list[str], text: list[str]) -> pd.DataFrame:
    """Return the features of a table by the kinds that were found in fit.

    Raises
    ------
    TableError
        If a column of numbers holds something else.
    """
    columns: dict[str, pd.Series] = {}
    for name in numeric:
        numbers = to_numbers(table[name])
        if numbers is None:
            wrong = table[name][pd.to_numeric(table[name], errors="coerce").isna()].dropna()
            shown = repr(str(wrong.iloc[0])) if len(wrong) else f"{table[name].dtype} values"
            raise TableError(
                f"column {name!r} must hold numbers, as in fit, got {shown}. Correct the cell, or "
                "leave it empty if it is missing."
            )
        columns[name] = numbers
    columns |= {name: to_text(table[name]) for name in text}
    return pd.DataFrame(columns, index=table.index)


def _targets(column: pd.Series, kind: str) -> tuple[Any, str]:
    """Return the targets, and what they are."""
    numbers = to_numbers(column)
    labels = to_labels(column)
    if kind == "auto":
        kind = target_kind(labels if numbers is None or labels.dtype.kind == "i" else numbers)
    if kind == "classification":
        return labels, kind
    if numbers is None:
        raise TableError(
            f"--target must hold numbers for regression, got text in {column.name!r}. Use --kind "
            "classification, or another column."
        )
    return numbers.to_numpy(), kind


def _require_variety(groups: Any, task: str | None, classes: Any, target: str) -> None:
    """Raise if there is one task only, or nothing to tell apart."""
    if groups is not None and len(np.unique(groups)) < 2:
        raise TableError(
            f"--task must name at least 2 tasks, got only {groups[0].item()!r} in {task!r}. Choose "
            "the column that says which rows belong together, or add rows of other tasks."
        )
    if classes is not None and len(np.unique(classes)) < 2:
        raise TableError(
            f"--target must hold at least 2 classes, got only {classes[0].item()!r} in {target!r}. "
            "Choose another column, or add rows of another class."
        )


def _choose(table: pd.DataFrame, groups: Any) -> tuple[list[str], list[str], dict[str, str]]:
    """Tell numeric from text columns, and find those that are no use."""
    numeric: list[str] = []
    text: list[str] = []
    left_out: dict[str, str] = {}
    for name in table.columns:
        column = table[name]
        numbers = to_numbers(column)
        if column.isna().all():
            left_out[name] = "is empty"
        elif (numbers if numbers is not None else to_text(column)).nunique(dropna=False) == 1:
            left_out[name] = "has one value only"
        elif numbers is not None:
            if _counts_rows(numbers):
                left_out[name] = "counts the rows"
            else:
                numeric.append(name)
        elif _names_tasks(to_text(column), groups):
            left_out[name] = "names the task too"
        else:
            n_texts = to_text(column).nunique()
            if n_texts > max(_MOST_TEXTS, _MOST_TEXTS_PART * len(column)):
                left_out[name] = (
                    f"has {n_texts:,} different texts, too many to be categories (sentences "
                    "become numbers in Python, by a TfidfVectorizer in a Pipeline)"
                )
            else:
                text.append(name)
    return numeric, text, left_out


def _counts_rows(numbers: pd.Series) -> bool:
    start = numbers.iloc[0]
    return start in (0, 1) and np.array_equal(numbers, start + np.arange(len(numbers)))


def _names_tasks(text: pd.Series, groups: Any) -> bool:
    """Say whether every task has a text of its own in this column."""
    pairs = pd.DataFrame({"task": groups, "text": text}).drop_duplicates()
    return bool(pairs["task"].is_unique and pairs["text"].is_unique)


def _follows(feature: pd.Series, y: Any) -> bool:
    """Say whether a feature puts the rows in the target's order, or the reverse."""
    correlation = feature.rank().corr(pd.Series(y, index=feature.index).rank())
    return bool(abs(correlation) > _SUSPICIOUS)


def _warning(name: str, target: str) -> str:
    return (
        f"Warning: {name!r} follows {target!r} almost exactly. Is it known for a new row? If not, "
        f"add --drop {name}."
    )


def _summary(X: pd.DataFrame, numeric: list[str], text: list[str]) -> str:
    gaps = X.columns[X.isna().any()]
    parts = []
    if numeric:
        with_gaps = sum(name in gaps for name in numeric)
        filled = f", gaps in {with_gaps} filled with the median and marked" if with_gaps else ""
        parts.append(f"{len(numeric)} numeric (standardised{filled})")
    if text:
        with_gaps = sum(name in gaps for name in text)
        filled = f", gaps in {with_gaps} filled with the commonest" if with_gaps else ""
        parts.append(f"{len(text)} text (one column for each of the commonest texts{filled})")
    return f"Features: {'; '.join(parts)}."
