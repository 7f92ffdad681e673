"""Land mines in 29 fields of radar images."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from metaskl.datasets._bunch import bunch_or_arrays, table_bunch
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._mat import read_cells
from metaskl.datasets._source import Arrays, RawFile, Source

FEATURES = [f"f{number}" for number in range(1, 10)]
# From the paper: the first 15 fields are overgrown, the rest bare earth or desert.
OVERGROWN_FIELDS = 15

DESCR = """\
Landmine: mines in radar images
===============================

14,820 objects found in synthetic-aperture radar images of 29 fields. A task is a field (445 to
690 objects); the class says whether the object is a mine (904) or clutter (13,916). The nine
features come from physics (moments, correlation, energy ratio, spatial variance). `terrain`
says whether a field is overgrown (0: fields 1 to 15) or bare (1: fields 16 to 29); it comes from
the paper, not from the file.

Mines are rare: use the area under the ROC curve, not the accuracy. A small draw of rows may hold
no mine. The customary figure is the mean of that area over tasks with 20 to 200 labelled rows a
field.

Source: daizhongxiang/Federated_Bayesian_Optimization, LandmineData.mat. No licence is stated;
for research.

Reference: Xue, Liao, Carin, Krishnapuram, Multi-task learning for classification with Dirichlet
process priors, JMLR 2007.
"""


def convert(folder: Path) -> Arrays:
    """Stack the fields."""
    cells, labels = read_cells(folder / "LandmineData.mat", "feature", "label")
    y = np.concatenate([label.reshape(-1) for label in labels])
    rows = np.concatenate(cells)
    if len(rows) != len(y) or rows.shape[1] != len(FEATURES):
        raise ValueError(f"feature of shape {rows.shape} and label of length {len(y)} do not fit")
    fields = np.arange(len(cells))
    return {
        "X": rows.astype(np.float32),
        "y": y.astype(np.int8),
        "task": np.repeat(fields, [len(cell) for cell in cells]).astype(np.int16),
        "feature_names": np.array(FEATURES),
        "task_names": np.array([f"field{number + 1:02d}" for number in fields]),
        "terrain": (fields >= OVERGROWN_FIELDS).astype(np.int8),
    }


SOURCE = Source(
    name="landmine",
    filename="landmine.npz",
    digest="e75650f58d74549fe1e393ad8e125c1531b39e7487dca67603e4f62a5c21a869",
    raw_files=(
        RawFile(
            "LandmineData.mat",
            "daizhongxiang/Federated_Bayesian_Optimization/30a4548606f2/LandmineData.mat",
        ),
    ),
    convert=convert,
)


def fetch_landmine(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    as_frame: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load 14,820 radar objects of 29 fields, 904 of them mines (classification).

    A task is a field; all tasks have the same two classes. Mines are rare, so judge by the
    area under the ROC curve.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of downloaded data, see :func:`~metaskl.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error rather than use the network.
    as_frame : bool, default=False
        If True, `data` is a data frame, `target` and `groups` are series, and `frame` holds
        them all.
    return_X_y : bool, default=False
        If True, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    :class:`~sklearn.utils.Bunch` or tuple
        With the attributes `data` of shape (14820, 9), `target` (0 clutter, 1 mine) of shape
        (14820,), `groups`, the names of the fields, of shape (14820,), `group_names` of shape
        (29,), `terrain` of shape (29,) in the order of `group_names` (0 overgrown, 1 bare),
        `terrain_names`, `target_names`, `frame`, `feature_names`, `target_name`, `group_name`,
        `DESCR`, `filename`.

    Raises
    ------
    DatasetNotAvailableError
        If the file is missing and is not, or cannot be, downloaded.
    DatasetIntegrityError
        If a file does not hold what it should.

    Examples
    --------
    >>> from metaskl.datasets import fetch_landmine
    >>> fetch_landmine().target.sum()  # doctest: +SKIP
    904
    """
    arrays, path = load_arrays(SOURCE, data_home, download_if_missing)
    columns = {
        "field": arrays["task_names"][arrays["task"]],
        **dict(zip(FEATURES, arrays["X"].T.astype(np.float64), strict=True)),
        "mine": arrays["y"].astype(np.int64),
    }
    bunch = table_bunch(
        columns,
        features=FEATURES,
        target="mine",
        group="field",
        path=path,
        descr=DESCR,
        as_frame=as_frame,
        target_names=np.array(["clutter", "mine"]),
        terrain=arrays["terrain"].astype(np.int64),
        terrain_names=np.array(["overgrown", "bare"]),
    )
    return bunch_or_arrays(bunch, return_X_y)
