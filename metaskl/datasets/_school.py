"""Exam marks of 139 London schools."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from metaskl.datasets._bunch import bunch_or_arrays, table_bunch
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._mat import read_cells
from metaskl.datasets._source import Arrays, RawFile, Source

FEATURES = [
    *("year_1985", "year_1986", "year_1987", "pct_free_meals", "pct_vr_band1"),
    *("student_female", "student_male", "vr_band3", "vr_band1", "vr_band2"),
    *("eth_eswi", "eth_african", "eth_arab", "eth_bangladeshi", "eth_caribbean", "eth_greek"),
    *("eth_indian", "eth_pakistani", "eth_se_asian", "eth_turkish", "eth_other"),
    *("school_mixed", "school_male", "school_female"),
    *("denom_maintained", "denom_cofe", "denom_rc"),
]

DESCR = """\
School: exam marks of London pupils
===================================

15,362 pupils of 139 secondary schools of the Inner London Education Authority, examined in
1985, 1986 or 1987. A task is a school (22 to 251 pupils); the target is the exam mark (1 to
70). Of the 27 features 25 are 0/1 columns of coded pupil and school facts, two are percentages
of the school. The column names were worked out from the code book of the survey and from the
column means; they are not in the source file.

Source: jiayuzhou/MALSAR, data/school.mat (a constant column was dropped). No licence is stated
for the data. Rows of one school are not in the order of time.

References: Goldstein, Multilevel modelling of survey data, 1991. Bakker and Heskes, Task
clustering and gating for Bayesian multitask learning, JMLR 2003. Argyriou et al., Convex
multi-task feature learning, Machine Learning 2008.
"""


def convert(folder: Path) -> Arrays:
    """Stack the schools and drop the column that is 1 in all of them."""
    cells, marks = read_cells(folder / "school.mat", "X", "Y")
    rows, y = np.concatenate(cells), np.concatenate([mark.reshape(-1) for mark in marks])
    constant = (rows == 1).all(axis=0)
    if constant.sum() != 1:
        raise ValueError(f"expected one constant column in school.mat, found {constant.sum()}")
    if len(rows) != len(y) or rows.shape[1] != len(FEATURES) + 1:
        raise ValueError(f"X of shape {rows.shape} and Y of length {len(y)} do not fit together")
    return {
        "X": rows[:, ~constant].astype(np.float32),
        "y": y.astype(np.float32),
        "task": np.repeat(np.arange(len(cells)), [len(cell) for cell in cells]).astype(np.int16),
        "feature_names": np.array(FEATURES),
        "task_names": np.array([f"school{number:03d}" for number in range(1, len(cells) + 1)]),
    }


SOURCE = Source(
    name="school",
    filename="school.npz",
    digest="6160dba0fc02d78ef8e94e2b95ac55773de340191e1713a8cb3640238ccf38fc",
    raw_files=(RawFile("school.mat", "jiayuzhou/MALSAR/fb9751594983/data/school.mat"),),
    convert=convert,
)


def fetch_school(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    as_frame: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load the exam marks of 15,362 pupils of 139 London schools (regression).

    A task is a school. The customary figure is the explained variance, with three quarters of
    the pupils of each school for training, or with whole schools left out.

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
        With the attributes `data` of shape (15362, 27), `target` of shape (15362,), `groups`,
        the names of the schools, of shape (15362,), `group_names` of shape (139,), `frame`,
        `feature_names`, `target_name`, `group_name`, `DESCR`, `filename`.

    Raises
    ------
    DatasetNotAvailableError
        If the file is missing and is not, or cannot be, downloaded.
    DatasetIntegrityError
        If a file does not hold what it should.

    Examples
    --------
    >>> from metaskl.datasets import fetch_school
    >>> X, y, school = fetch_school(return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (15362, 27)
    """
    arrays, path = load_arrays(SOURCE, data_home, download_if_missing)
    columns = {
        "school": arrays["task_names"][arrays["task"]],
        **dict(zip(FEATURES, arrays["X"].T.astype(np.float64), strict=True)),
        "mark": arrays["y"].astype(np.float64),
    }
    bunch = table_bunch(
        columns,
        features=FEATURES,
        target="mark",
        group="school",
        path=path,
        descr=DESCR,
        as_frame=as_frame,
    )
    return bunch_or_arrays(bunch, return_X_y)
