"""Radon in 919 houses of 85 Minnesota counties."""

import csv
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from metaskl.datasets._bunch import bunch_or_arrays, table_bunch
from metaskl.datasets._locate import load_arrays
from metaskl.datasets._source import Arrays, RawFile, Source
from metaskl.datasets._store import typed

STATE = "MN"
# As in the textbook: what a reading of zero counts as, so that it has a logarithm.
SMALLEST_READING = 0.1
DECIMALS = 6

DESCR = """\
Radon: radon in the houses of Minnesota
=======================================

919 houses in 85 counties, measured by the US Environmental Protection Agency and the state. A
task is a county (1 to 116 houses, in the middle 5); the target is the natural logarithm of the
radon activity in picocuries per litre (readings of 0 count as 0.1). The features are those of
the textbook: `floor` (0 basement, 1 ground floor) and `log_uranium`, the logarithm of the
uranium content of the county's soil, which is the same for all houses of a county. The data frame
holds the other facts of the survey too (type of building, room, basement, wave); `radon_pci_l` is
the target without the logarithm: never use it as a feature.

One line for all is 1.327 - 0.613 x floor; with an intercept for each county the slope is -0.721.
Some counties have one or two houses: a learner must survive that.

Source: Meigarom/Multilevel-Hierarchical-Regression, dataset/srrs2.dat and dataset/cty.dat
(repository GPL-3; the survey is public).

References: Price, Nero, Gelman, Bayesian prediction of mean indoor radon concentrations for
Minnesota counties, Health Physics 1996. Gelman and Hill, Data analysis using regression and
multilevel/hierarchical models, 2007.
"""


def convert(folder: Path) -> Arrays:
    """Join the houses of the state with the uranium of their county, sorted by county."""
    uranium: dict[int, float] = {}
    for county in _read_padded(folder / "cty.dat"):
        if county["st"] == STATE:
            # Some counties are listed more than once.
            fips = 1000 * _whole(county["stfips"]) + _whole(county["ctfips"])
            uranium.setdefault(fips, float(county["Uppm"]))
    houses = [row for row in _read_padded(folder / "srrs2.dat") if row["state"] == STATE]
    houses.sort(key=lambda row: row["county"])
    fips_codes = [1000 * _whole(row["stfips"]) + _whole(row["cntyfips"]) for row in houses]
    activity = [float(row["activity"]) for row in houses]
    ppm = [uranium[fips] for fips in fips_codes]
    counties = typed("text", (row["county"] for row in houses))
    return {
        "task": counties,
        "state": typed("text", (row["state"] for row in houses)),
        "county": counties,
        "fips": np.array(fips_codes, dtype=np.int64),
        "typebldg": _integers(houses, "typebldg"),
        "floor": _integers(houses, "floor"),
        "room": _integers(houses, "room"),
        "basement": typed("text", (row["basement"] for row in houses)),
        "windoor": typed("text", (row["windoor"] for row in houses)),
        "wave": _integers(houses, "wave"),
        "radon_pci_l": np.array(activity, dtype=np.float64),
        "uranium_ppm": np.array(ppm, dtype=np.float64),
        "log_uranium": _rounded_log(ppm),
        "log_radon": _rounded_log([value or SMALLEST_READING for value in activity]),
    }


def _read_padded(path: Path) -> list[dict[str, str]]:
    """Read a table whose names and cells are padded with blanks, in quotes or not."""
    with path.open(encoding="latin-1", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file, skipinitialspace=True)]
    header, *body = [row for row in rows if any(row)]
    return [dict(zip(header, row, strict=True)) for row in body]


def _whole(cell: str) -> int:
    return int(float(cell))


def _integers(rows: list[dict[str, str]], name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([_whole(row[name]) for row in rows], dtype=np.int64)


def _rounded_log(values: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([round(math.log(value), DECIMALS) for value in values], dtype=np.float64)


SOURCE = Source(
    name="radon",
    filename="radon.csv",
    digest="b497a527e0912324e764ec00fa2946ee8349385c6056dde33b6ab2bc3b9a818d",
    raw_files=tuple(
        RawFile(name, f"Meigarom/Multilevel-Hierarchical-Regression/e21b1246e833/dataset/{name}")
        for name in ("srrs2.dat", "cty.dat")
    ),
    convert=convert,
    columns={
        "task": "text",
        "state": "text",
        "county": "text",
        "fips": "int",
        "typebldg": "int",
        "floor": "int",
        "room": "int",
        "basement": "text",
        "windoor": "text",
        "wave": "int",
        "radon_pci_l": "float",
        "uranium_ppm": "float",
        "log_uranium": "float",
        "log_radon": "float",
    },
)


def fetch_radon(
    *,
    data_home: str | os.PathLike[str] | None = None,
    download_if_missing: bool = True,
    as_frame: bool = False,
    return_X_y: bool = False,
) -> Any:
    """Load the radon readings of 919 houses in 85 counties of Minnesota (regression).

    A task is a county, and half of the counties have five houses or fewer: the textbook
    example of tasks too small to stand alone.

    Parameters
    ----------
    data_home : str or path-like, default=None
        Folder of downloaded data, see :func:`~metaskl.datasets.get_data_home`.
    download_if_missing : bool, default=True
        If False, raise an error rather than use the network.
    as_frame : bool, default=False
        If True, `data` is a data frame, `target` and `groups` are series, and `frame` holds
        them and the other columns of the survey.
    return_X_y : bool, default=False
        If True, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    :class:`~sklearn.utils.Bunch` or tuple
        With the attributes `data` of shape (919, 2), `target`, the logarithm of the radon
        activity, of shape (919,), `groups`, the names of the counties, of shape (919,),
        `group_names` of shape (85,), `frame`, `feature_names`, `target_name`, `group_name`,
        `DESCR`, `filename`.

    Raises
    ------
    DatasetNotAvailableError
        If the file is missing and is not, or cannot be, downloaded.
    DatasetIntegrityError
        If a file does not hold what it should.

    Examples
    --------
    >>> from metaskl.datasets import fetch_radon
    >>> fetch_radon().feature_names  # doctest: +SKIP
    ['floor', 'log_uranium']
    """
    arrays, path = load_arrays(SOURCE, data_home, download_if_missing)
    columns = {name: array for name, array in arrays.items() if name != "task"}
    bunch = table_bunch(
        columns,
        features=["floor", "log_uranium"],
        target="log_radon",
        group="county",
        path=path,
        descr=DESCR,
        as_frame=as_frame,
    )
    return bunch_or_arrays(bunch, return_X_y)
