"""Put arrays together as scikit-learn's fetchers do, with the groups beside the target."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

Array = np.ndarray[Any, np.dtype[Any]]


def table_bunch(
    columns: dict[str, Array],
    *,
    features: list[str],
    target: str,
    group: str,
    path: Path,
    descr: str,
    as_frame: bool,
    **more: Any,
) -> Bunch:
    """Build the Bunch of a table from its columns.

    `columns` hold the whole table in the order of the frame, `features`, `target` and `group`
    say which of them `data`, `target` and `groups` are made of.
    """
    frame = None
    data: Any = np.column_stack([columns[name] for name in features]).astype(np.float64)
    labels: Any = columns[target]
    groups: Any = columns[group]
    names = unique_in_order(groups)
    if as_frame:
        import pandas as pd

        frame = pd.DataFrame({name: _missing_as_none(array) for name, array in columns.items()})
        data, labels, groups = frame[features], frame[target], frame[group]
    return Bunch(
        data=data,
        target=labels,
        groups=groups,
        frame=frame,
        feature_names=features,
        target_name=target,
        group_name=group,
        group_names=names,
        DESCR=descr,
        filename=str(path),
        **more,
    )


def _missing_as_none(column: Array) -> Array:
    """Write an empty text as None, which pandas counts as missing."""
    if column.dtype.kind != "U" or (column != "").all():
        return column
    shown: Array = column.astype(object)
    shown[column == ""] = None
    return shown


def unique_in_order(values: Array) -> Array:
    """Return the different values in the order in which they first appear."""
    unique, first = np.unique(values, return_index=True)
    return np.asarray(unique[np.argsort(first)])


def bunch_or_arrays(bunch: Bunch, return_X_y: bool) -> Any:
    """Return the Bunch, or the three arrays that `fit(X, y, groups=groups)` takes."""
    return (bunch.data, bunch.target, bunch.groups) if return_X_y else bunch
