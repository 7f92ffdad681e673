"""Reaction times of 18 people without enough sleep."""

import csv
import os
from pathlib import Path
from typing import Any

from metaskl.datasets._bunch import bunch_or_arrays, table_bunch
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._source import Arrays, RawFile, Source
from metaskl.datasets._store import typed

DESCR = """\
Sleepstudy: reaction times without enough sleep
===============================================

The mean reaction time in milliseconds of 18 subjects on ten days (0 to 9) of a study of too
little sleep. A task is a subject (10 rows); the feature is the day. One straight line for all is
251.405 + 10.467 x Days; the subjects differ much in their slope, so that this is the classic
example of what a mixed model gains. A few-shot task: the first k days of a new subject.

Source: vincentarelbundock/Rdatasets, csv/lme4/sleepstudy.csv, from the R package lme4 (GPL).

References: Belenky et al., Patterns of performance degradation and restoration during sleep
restriction and subsequent recovery, Journal of Sleep Research 2003. Bates, Mächler, Bolker,
Walker, Fitting linear mixed-effects models using lme4, Journal of Statistical Software 2015.
"""


def convert(folder: Path) -> Arrays:
    """Take the three columns; older versions of the file name the row numbers differently."""
    with (folder / "sleepstudy.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        "task": typed("int", (row["Subject"] for row in rows)),
        "Days": typed("int", (row["Days"] for row in rows)),
        "y": typed("float", (row["Reaction"] for row in rows)),
    }


SOURCE = Source(
    name="sleepstudy",
    filename="sleepstudy.csv",
    digest="05a385e70080c15df0cfc38edd19615e8706165a659f3dcde4c4fdaa315752e6",
    raw_files=(
        RawFile(
            "sleepstudy.csv",
            "vincentarelbundock/Rdatasets/1dcc2bf5f955/csv/lme4/sleepstudy.csv",
        ),
    ),
    convert=convert,
    columns={"task": "int", "Days": "int", "y": "float"},
)


def fetch_sleepstudy(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    as_frame: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load the reaction times of 18 subjects on ten days of little sleep (regression).

    A task is a subject. The smallest of the sets: good for a first try.

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
        With the attributes `data` of shape (180, 1), `target` of shape (180,) in milliseconds,
        `groups`, the numbers of the subjects (308 to 372), of shape (180,), `group_names` of
        shape (18,), `frame`, `feature_names`, `target_name`, `group_name`, `DESCR`, `filename`.

    Raises
    ------
    DatasetNotAvailableError
        If the file is missing and is not, or cannot be, downloaded.
    DatasetIntegrityError
        If a file does not hold what it should.

    Examples
    --------
    >>> from metaskl.datasets import fetch_sleepstudy
    >>> X, y, subject = fetch_sleepstudy(return_X_y=True)  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (180, 1)
    """
    arrays, path = load_arrays(SOURCE, data_home, download_if_missing)
    columns = {"Subject": arrays["task"], "Days": arrays["Days"], "Reaction": arrays["y"]}
    bunch = table_bunch(
        columns,
        features=["Days"],
        target="Reaction",
        group="Subject",
        path=path,
        descr=DESCR,
        as_frame=as_frame,
    )
    return bunch_or_arrays(bunch, return_X_y)
