"""Task ids: a ``groups`` array or the name of a data frame's column."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from metaskl.errors import GroupsError, GroupsWarning


def resolve_groups(
    X: Any, groups: Any, *, column: str | None = None, fitting: bool = True
) -> tuple[Any, npt.NDArray[Any] | None, str | None]:
    """Return the features without the task column, the task ids, and the column's name.

    Parameters
    ----------
    X : array or data frame of shape (n_rows, ...)
        The features, with or without a task column.
    groups : None, str or array-like of shape (n_rows,)
        Task ids (strings, categories, integers), the name of a column of `X`,
        or None for data that are one task.
    column : str, optional
        The task column's name of an earlier call; it is dropped from `X` if it is there.
    fitting : bool, default=True
        Whether the features are chosen here. Then a column itself, ``frame["school"]`` with
        ``X=frame``, counts as its name: ids that stayed a feature would mean nothing in a
        new task. Later the features are those of fit.

    Returns
    -------
    X : array or data frame
        `X` without the task column.
    groups : ndarray of shape (n_rows,) or None
        One task id a row.
    column : str or None
        The name of the column that was dropped.

    Raises
    ------
    GroupsError
        If the column is not there, or `groups` has another length, more than one
        dimension, or missing values.

    Examples
    --------
    >>> import pandas as pd
    >>> from metaskl.tasks.groups import resolve_groups
    >>> frame = pd.DataFrame({"x": [1.0, 2.0], "school": ["a", "b"]})
    >>> X, groups, column = resolve_groups(frame, "school")
    >>> list(X.columns), groups.tolist(), column
    (['x'], ['a', 'b'], 'school')
    """
    if isinstance(groups, str):
        names = getattr(X, "columns", None)
        if names is None:
            raise GroupsError(
                f"groups={groups!r} names a column, but X is a {type(X).__name__}, not a data "
                "frame. Pass the task ids themselves, as in groups=frame[name] (inside a "
                "Pipeline too: the earlier steps turn the frame into an array)."
            )
        if groups not in names:
            raise GroupsError(
                f"groups={groups!r} must be a column of X, got the columns {list(names)}. "
                "Name one of them, or pass the task ids as an array."
            )
        column, groups = groups, X[groups]
    elif fitting and column is None:
        column = _column_of(X, groups)
    if column is not None and column in getattr(X, "columns", ()):
        X = X.drop(columns=[column])
    if groups is None:
        return X, None, column
    ids = check_groups(groups, n_rows(X))
    if fitting:
        _warn_of_measurements(ids, column)
    if fitting and column is None and (same := _columns_equal_to(X, ids)):
        warnings.warn(
            f"groups equals the column {same[0]!r} of X row by row, but that column stays a "
            "feature, which means nothing in a new task. "
            + (
                f"Pass groups={same[0]!r}, the column's name, or drop it from X."
                if hasattr(X, "columns")
                else "Drop it from X."
            ),
            GroupsWarning,
            stacklevel=4,
        )
    return X, ids, column


def tasks_named(X: Any, column: str | None) -> list[Any]:
    """Return the task ids in a frame's task column, if it is there; rows without one are new."""
    if column is None or column not in getattr(X, "columns", ()):
        return []
    ids = np.asarray(X[column])
    return list(dict.fromkeys(ids[~are_missing(ids)].tolist()))


def warn_of_several_tasks(X: Any, column: str | None) -> None:
    """Warn of a support whose task column names more tasks than one."""
    names = tasks_named(X, column)
    if len(names) > 1:
        shown = ", ".join(map(repr, names[:3])) + (", …" if len(names) > 3 else "")
        warnings.warn(
            f"X should be the support of one task, got {len(names)} values of {column!r} "
            f"({shown}), adapted to as one task. Call adapt_groups for a copy of each.",
            GroupsWarning,
            stacklevel=3,
        )


def _warn_of_measurements(ids: npt.NDArray[Any], column: str | None) -> None:
    """Warn of task ids with a fractional part: a wrong column was named, it seems."""
    broken = ids[ids % 1 != 0] if ids.dtype.kind == "f" else ids[:0]
    if not len(broken):
        return
    # Of an array no value is shown: the text stays one, and is said once, over the folds of a CV.
    given, example, text = "groups", "", "groups"
    if column is not None:
        given, example, text = f"groups={column!r}", f" such as {broken[0]:.6g}", f"X[{column!r}]"
    warnings.warn(
        f"{given} should name tasks, got numbers with a fractional part{example}, which look like "
        "measurements. Give the column that tells the tasks apart; if these are ids, give them as "
        f"text: groups={text}.astype(str).",
        GroupsWarning,
        stacklevel=5,
    )


def _columns_equal_to(X: Any, ids: npt.NDArray[Any]) -> list[Any]:
    """Return the names of the columns of a frame, or numbers of an array's, that are the ids."""
    if not len(ids):
        return []
    if hasattr(X, "columns"):
        return [name for name in X.columns if _is_equal(np.asarray(X[name]), ids)]
    if not isinstance(X, np.ndarray) or X.ndim != 2:
        return []
    near = np.flatnonzero(X[0] == ids[0]) if _alike(X, ids) else ()
    return [int(column) for column in near if _is_equal(X[:, column], ids)]


def _is_equal(values: npt.NDArray[Any], ids: npt.NDArray[Any]) -> bool:
    return (
        values.shape == ids.shape
        and _alike(values, ids)
        and not are_missing(values).any()
        and bool(np.all(values == ids))
    )


def _alike(values: npt.NDArray[Any], ids: npt.NDArray[Any]) -> bool:
    """Say whether two arrays can be compared: both numbers, or both text (or objects)."""
    kinds = {values.dtype.kind, ids.dtype.kind}
    return kinds <= set("OSU") or kinds <= set("biuf")


def _column_of(X: Any, groups: Any) -> str | None:
    """Return the name of the column of `X` that `groups` was taken from, if it was."""
    name = getattr(groups, "name", None)
    if not isinstance(name, str) or name not in getattr(X, "columns", ()):
        return None
    return name if groups.equals(X[name]) else None


def require_groups(X: Any, groups: Any, *, hint: str = "") -> tuple[Any, npt.NDArray[Any]]:
    """Return the features without the task column, and the task ids, which must be there.

    Parameters
    ----------
    X, groups
        As in :func:`resolve_groups`.
    hint : str, default=""
        What else to say where they are missing, after a space.

    Returns
    -------
    X : array or data frame
        `X` without the task column.
    groups : ndarray of shape (n_rows,)
        One task id a row.

    Raises
    ------
    GroupsError
        If `groups` is None or does not fit.
    """
    X, ids, _ = resolve_groups(X, groups)
    if ids is None:
        raise GroupsError(
            "groups must name the task of each row, got None. Pass the task ids, or the name of "
            f"the column of the data frame that holds them.{hint}"
        )
    return X, ids


def check_groups(groups: Any, n_rows: int) -> npt.NDArray[Any]:
    """Return the task ids as a one-dimensional array of `n_rows` without missing values.

    Raises
    ------
    GroupsError
        If `groups` has another length, more than one dimension, or missing values.
    """
    ids = np.asarray(groups)
    if ids.ndim == 2 and ids.shape[1] == 1:
        ids = ids[:, 0]
    if ids.ndim != 1:
        raise GroupsError(
            f"groups must hold one task id a row, got an array of shape {ids.shape}. "
            "Join several id columns into one first."
        )
    if len(ids) != n_rows:
        raise GroupsError(
            f"groups must have one entry for each of the {n_rows} rows of X, got {len(ids)}. "
            "Take both from the same table, after the same filtering."
        )
    if are_missing(ids).any():
        raise GroupsError(
            f"groups must not hold missing values, got {int(are_missing(ids).sum())} of them. "
            "Drop those rows, or give them a task of their own."
        )
    if ids.dtype.kind in "mM":  # as text: dates of two resolutions must stay the same task
        resolved = ids.astype("datetime64[us]" if ids.dtype.kind == "M" else "timedelta64[us]")
        return resolved.astype(str)
    if ids.dtype == object:
        # Mixed types (1 and "1") cannot be sorted by numpy, so they are told apart as text.
        kinds = {type(value) for value in ids}
        if len(kinds) > 1:
            _refuse_twins(ids)
        ids = ids.astype(str) if kinds <= {str} or len(kinds) > 1 else np.array(ids.tolist())
    return ids


def _refuse_twins(ids: npt.NDArray[Any]) -> None:
    """Raise if two ids of different types read the same."""
    seen: dict[str, Any] = {}
    for value in ids:
        twin = seen.setdefault(str(value), value)
        if twin != value:
            raise GroupsError(
                f"groups must not hold ids that read the same, got {twin!r} and {value!r}. If they "
                "are one task, give all ids one type: groups.astype(str)."
            )


def are_private(y: npt.NDArray[Any], ids: npt.NDArray[Any]) -> bool:
    """Say whether each class lies in one task only, and there is more than one task."""
    if len(y) != len(ids):  # which is refused elsewhere
        return False
    task = np.unique(ids, return_inverse=True)[1]
    label = np.unique(y, return_inverse=True)[1].reshape(-1)
    n_tasks = int(task.max()) + 1
    pairs = np.unique(label * n_tasks + task)
    return n_tasks > 1 and len(pairs) == int(label.max()) + 1


def are_missing(ids: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Say which values of a one-dimensional array are None, NaN or NA."""
    if ids.dtype.kind in "fmM":
        missing: npt.NDArray[np.bool_] = np.isnan(ids)
        return missing
    if ids.dtype == object:
        return np.array([_is_none_or_nan(value) for value in ids], dtype=bool)
    return np.zeros(len(ids), dtype=bool)


def _is_none_or_nan(value: Any) -> bool:
    """Say whether a value is None, NaN, or pandas' NA, whose comparisons have no truth."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def n_rows(X: Any) -> int:
    """Return the number of rows of an array, a sparse matrix, a frame or a list."""
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape is not None and len(shape) else len(X)
