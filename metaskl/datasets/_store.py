"""Read and write the converted files: npz for arrays, csv for small tables."""

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from metaskl.datasets._source import Arrays, ColumnKind
from metaskl.files import replacing

# What reading a damaged file of any of the formats may raise.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
)


def read_arrays(path: Path, columns: Mapping[str, ColumnKind]) -> Arrays:
    """Read an npz or csv file as arrays by name."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    return _read_table(path, columns)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write an npz or csv file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        if path.suffix == ".npz":
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        else:
            _write_table(file, arrays, compress=path.suffix == ".gz")


def _read_table(path: Path, columns: Mapping[str, ColumnKind]) -> Arrays:
    with _open_text(path) as file:
        header, *rows = csv.reader(file)
    if header != list(columns):
        raise ValueError(f"the columns are {header}, but should be {list(columns)}")
    return {name: typed(columns[name], cells) for name, *cells in zip(header, *rows, strict=True)}


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def typed(kind: ColumnKind, cells: Iterable[str]) -> np.ndarray[Any, np.dtype[Any]]:
    """Turn the cells of one column into an array; an empty number is not a number.

    Python's own conversion is exact, where that of pandas changed between versions.
    """
    if kind == "text":
        return np.array(list(cells), dtype=np.str_)
    if kind == "int":
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    return np.array([float(cell) if cell else np.nan for cell in cells], dtype=np.float64)


def _write_table(file: IO[bytes], arrays: Arrays, *, compress: bool) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(arrays)
    writer.writerows(zip(*(_cells(array) for array in arrays.values()), strict=True))
    content = text.getvalue().encode()
    file.write(gzip.compress(content, mtime=0) if compress else content)


def _cells(array: np.ndarray[Any, np.dtype[Any]]) -> list[str]:
    show: Callable[[Any], str] = repr if array.dtype.kind == "f" else str
    return ["" if value != value else show(value) for value in array.tolist()]
