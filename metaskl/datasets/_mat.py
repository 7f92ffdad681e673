"""Read cell arrays from MATLAB files."""

from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def read_cells(path: Path, *names: str) -> list[list[Array]]:
    """Read cell arrays that hold one matrix a task; each name gives a list of matrices."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except MatReadError as error:
        raise ValueError(f"{path.name} is not a MATLAB file: {error}") from error
    read = []
    for name in names:
        if name not in content:
            raise ValueError(f"{path.name} has no variable {name!r}")
        if content[name].dtype != object:
            raise ValueError(f"{name!r} in {path.name} is not a cell array")
        read.append([np.atleast_2d(cell) for cell in content[name].ravel()])
    if len({len(cells) for cells in read}) != 1:
        raise ValueError(f"{', '.join(names)} in {path.name} differ in their number of tasks")
    return read
