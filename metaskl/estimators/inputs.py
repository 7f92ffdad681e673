"""What goes in: features and targets checked, standardised, made tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from sklearn.utils.validation import validate_data

from metaskl.backbones import Backbone
from metaskl.errors import ParameterError, SupportError
from metaskl.tasks.targets import are_times, require_values

Array = npt.NDArray[Any]
# Double precision until the columns are standardised: a time stamp would lose its seconds.
_DTYPES = (np.float64, np.float32)


def check_features(estimator: Any, X: Any, *, reset: bool = False) -> Array:
    """Return the features as floats, after scikit-learn's checks.

    Raises
    ------
    ValueError
        If they are not numbers, hold missing values, or have another shape than in fit.
    """
    _require_no_dates(X)
    _require_axes(estimator, X, reset=reset)
    try:
        checked = validate_data(
            estimator, X, dtype=list(_DTYPES), allow_nd=True, accept_sparse="csr", reset=reset
        )
    except (ValueError, TypeError) as error:
        raise _explained(error, X) from error
    return _dense(estimator, checked, reset=reset)


def check_rows(estimator: Any, X: Any, y: Any, *, reset: bool, numeric: bool) -> tuple[Array, Any]:
    """Return features and targets of one length, after scikit-learn's checks."""
    (require_numbers if numeric else require_values)(y)
    _require_no_dates(X)
    _require_axes(estimator, X, reset=reset)
    try:
        checked, y = validate_data(
            estimator,
            X,
            y,
            dtype=list(_DTYPES),
            allow_nd=True,
            accept_sparse="csr",
            multi_output=numeric,
            y_numeric=numeric,
            reset=reset,
        )
    except (ValueError, TypeError) as error:
        raise _explained(error, X) from error
    return _dense(estimator, checked, reset=reset), y


def require_numbers(y: Any) -> None:
    """Raise if targets hold text, or None where a number is missing.

    Raises
    ------
    ValueError
        It names a value; what else may be wrong with `y` is left to scikit-learn's checks.
    """
    try:
        values = np.asarray(y)
    except ValueError:  # rows of unequal length
        return
    if values.dtype.kind in "OSU" and values.ndim:
        _refuse_text(values.ravel().tolist())
    require_values(y)


def _refuse_text(values: list[Any]) -> None:
    """Raise if one of the values is text that is no number."""
    for value in values:
        try:
            if isinstance(value, str | bytes):
                float(value)
        except ValueError:
            raise ValueError(
                f"y must hold numbers, got text such as {value!r}. Use a classifier for classes, "
                "or turn the text into numbers first."
            ) from None


def _require_no_dates(X: Any) -> None:
    """Raise if a column holds points or lengths of time: as floats these would be nanoseconds."""
    is_frame = hasattr(X, "columns") and hasattr(X, "dtypes")
    columns = zip(X.columns, X.dtypes, strict=True) if is_frame else ()
    names = [
        repr(name)
        for name, dtype in columns
        if getattr(dtype, "kind", "O") not in "biuf" and are_times(np.asarray(X[name]))
    ]
    if names or (isinstance(X, np.ndarray) and are_times(X)):
        where = f" in column(s) {_at_most_five(names)}" if names else ""
        raise ValueError(
            f"X must hold numbers, got dates or times{where}. Turn "
            "them into numbers that mean something to a new task, for example days since its "
            "first row: (X[c] - X.groupby(task)[c].transform('min')) / pandas.Timedelta('1D')."
        )


def _at_most_five(names: Sequence[str]) -> str:
    """List names, and how many were left off."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _require_axes(estimator: Any, X: Any, *, reset: bool) -> None:
    """Raise if pictures lack an axis that those of fit had: features are not what is wrong."""
    wanted: tuple[int, ...] = () if reset else estimator.in_shape_
    shape = np.shape(X) if isinstance(X, np.ndarray) else ()
    if len(wanted) > 1 and len(shape) not in (0, 1 + len(wanted)):
        remedy = "Bring the rows to the shape of those in fit"
        if shape == wanted:
            remedy = "A single row is X[None]"
        elif wanted[0] == 1 and shape[1:] == wanted[1:]:
            remedy = "The axis of channels is missing: put it in with X[:, None]"
        given = f"({', '.join(['n', *map(str, wanted)])})"
        raise SupportError(f"X must have the shape {given} as in fit, got {shape}. {remedy}.")


def _dense(estimator: Any, X: Any, *, reset: bool) -> Array:
    """Densify, and compare a row's shape with fit's (scikit-learn compares one axis only)."""
    X = X.toarray() if sp.issparse(X) else X
    if not reset and X.shape[1:] != estimator.in_shape_:
        raise SupportError(
            f"X must have rows of shape {estimator.in_shape_} as in fit, got {X.shape[1:]}. "
            "Bring the pictures to the same size and channels first."
        )
    array: Array = X
    return array


def _explained(error: Exception, X: Any) -> Exception:
    """Return scikit-learn's error with what to do about missing and non-numeric values."""
    text = str(error)
    if "not 'NAType'" in text and hasattr(X, "columns"):  # pandas' NA in a column of objects
        text = "Input X contains NaN"
    if "Input X contains NaN" in text and np.ndim(X) > 2:
        rows = np.flatnonzero(np.isnan(np.asarray(X, float)).any(axis=tuple(range(1, np.ndim(X)))))
        return ValueError(
            f"Input X contains NaN: X must not hold missing values, got some in {len(rows)} of "
            f"{len(X)} rows, the first of them row {rows[0]}. Fill them, or drop those rows: "
            "numpy.nan_to_num(X) puts zeros in their place."
        )
    if "Input X contains NaN" in text:
        return ValueError(
            f"Input X contains NaN: X must not hold missing values, got some in "
            f"{_columns_where(np.isnan, X)}. Put an imputer before the estimator: "
            "make_pipeline(sklearn.impute.SimpleImputer(strategy='median'), ...)."
        )
    if "Input X contains infinity" in text and np.ndim(X) == 2:
        return ValueError(
            f"{text.strip().rstrip('.')}: X must hold finite numbers, got infinite ones in "
            f"{_columns_where(np.isinf, X)}. Replace them, for example by missing values with "
            "X.replace([inf, -inf], nan) of pandas, and put an imputer before the estimator."
        )
    if kind := re.search(r"must be a string or a real number, not '(\w+)'", text):
        return TypeError(
            f"X must hold numbers, got values of type {kind[1]}{_columns_with_text(X)} ({text}). "
            "Turn them into numbers first, or leave them out."
        )
    if "could not convert string to float" in text:
        return ValueError(
            f"X must hold numbers, got text{_columns_with_text(X)} ({text}). In a Pipeline encode "
            "categories first, or give compare and AutoMeta preprocess=, with "
            "sklearn.preprocessing.OneHotEncoder in a make_column_transformer(...), sentences with "
            "sklearn.feature_extraction.text.TfidfVectorizer and TruncatedSVD; leave the task "
            "column to groups."
        )
    return error


def _columns_with_text(X: Any) -> str:
    """Name the columns of a frame that hold text which is no number, at most five."""
    names = []
    for name in getattr(X, "columns", ()):
        try:
            np.asarray(X[name]).astype(float)
        except (ValueError, TypeError):
            names.append(repr(name))
    return f" in column(s) {_at_most_five(names)}" if names else ""


def _columns_where(found: Callable[[Array], npt.NDArray[np.bool_]], X: Any) -> str:
    """Name the columns in which a value is of that kind, at most five."""
    if hasattr(X, "to_numpy"):  # None and pandas' own missing values become NaN
        X = X.mask(X.isna(), np.nan) if hasattr(X, "mask") else X  # those in objects, too
        values = X.to_numpy(dtype=float, na_value=np.nan)
    else:
        values = np.asarray(X.toarray() if sp.issparse(X) else X, dtype=float)
    columns = np.flatnonzero(found(values.reshape(len(values), -1)).any(0)).tolist()
    names = [str(X.columns[i] if hasattr(X, "columns") else i) for i in columns]
    return f"column(s) {_at_most_five(names)}"


def kept_as_is(backbone: Any) -> dict[str, Any]:
    """Return what a network's spec says of scaling: the axis of features, columns to leave."""
    if not isinstance(backbone, Backbone):  # none, or none that can be used, which is said later
        return {"axis": 1, "leave": ()}
    return {"axis": backbone.feature_axis, "leave": backbone.unscaled_columns}


def fit_scaling(
    values: Array, *, on: bool, axis: int = 1, leave: Sequence[int] = ()
) -> dict[str, Array]:
    """Learn mean and standard deviation of each column, or of each channel of images.

    `axis` is the axis of `values` that holds columns or channels; the columns `leave` stay as
    they are.
    """
    axes = tuple(set(range(values.ndim)) - {axis % values.ndim})
    mean = values.mean(axis=axes, keepdims=True, dtype=np.float64)[0]
    if not on:
        return {"mean": np.zeros_like(mean), "scale": np.ones_like(mean)}
    scale = values.std(axis=axes, keepdims=True, dtype=np.float64)[0]
    low, high = (extreme(axis=axes, keepdims=True)[0] for extreme in (values.min, values.max))
    # A constant column: its rounding noise must not be blown up to a feature. The spread tells, as
    # the standard deviation has the rounding of a mean over many rows.
    spread = high.astype(np.float64) - low
    rounding = 10 * np.finfo(values.dtype).eps * np.maximum(np.abs(low), np.abs(high))
    scale = np.where((spread <= rounding) | (scale == 0), np.maximum(spread, 1.0), scale)
    left = [column for column in leave if 0 <= column < values.shape[1]]
    mean[left], scale[left] = 0.0, 1.0
    return {"mean": mean, "scale": scale}


def scale(values: Array, scaling: dict[str, Array]) -> npt.NDArray[np.float32]:
    """Return standardised values as float32."""
    return np.ascontiguousarray((values - scaling["mean"]) / scaling["scale"], dtype=np.float32)


def resolve_device(device: Any) -> str:
    """Return the name of a device that is there.

    Raises
    ------
    ParameterError
        If the device is unknown or not on this machine.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
        usable = resolved.type != "meta"  # torch's device for shapes without values
    except (RuntimeError, AssertionError, TypeError, ValueError, NotImplementedError):
        usable = False  # torch's own reason is of its build, and says nothing to a user
    if not usable:
        raise ParameterError(
            f"device must be 'auto' or one that this machine has ({', '.join(_devices())}), got "
            f"{device!r}. Use device='auto' to take a GPU if there is one."
        )
    return str(resolved)


def _devices() -> list[str]:
    """Name the devices of this machine."""
    cuda = [f"'cuda:{i}'" for i in range(torch.cuda.device_count())]
    return ["'cpu'", *cuda, *(["'mps'"] if torch.backends.mps.is_available() else [])]
