"""Tables from files: read, checked for the columns that were named, numbers told from text."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from metaskl.errors import MissingExtraError, TableError

_PARQUET = (".parquet", ".pq")
_SEPARATORS = (";", "\t", "|", ",")
_TYPED = {"tab": "\t", "\\t": "\t"}
# More columns than this are not listed in a message.
_SHOWN = 30


def read_table(path: Path, sep: str = ",") -> pd.DataFrame:
    """Read a csv (plain or compressed) or parquet file.

    Columns of a csv come as text, so that "1" of one file and "1.0" of another stay what they
    are until it is known what the column means.

    Raises
    ------
    TableError
        If the file is missing, empty, or no table.
    MissingExtraError
        If it is parquet, and pyarrow is not installed.
    """
    if not path.is_file():
        raise TableError(f"table {str(path)!r} is not there. Check the path.")
    sep = _TYPED.get(sep, sep)
    try:
        if path.suffix.lower() in _PARQUET:
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, sep=sep, dtype=str)
    except ImportError as error:
        raise MissingExtraError(
            f"table {str(path)!r} needs pyarrow, which cannot be imported. Install it with pip "
            'install "metaskl[parquet]", or save the table as csv.'
        ) from error
    except pd.errors.EmptyDataError as error:
        raise TableError(
            f"table {str(path)!r} is empty. Give a file whose first line names the columns."
        ) from error
    except UnicodeDecodeError as error:
        raise TableError(
            f"table {str(path)!r} is not UTF-8 text ({error.reason} at byte {error.start}). Save "
            "it as UTF-8, or as parquet."
        ) from error
    except (ValueError, OSError, EOFError) as error:
        raise TableError(
            f"table {str(path)!r} cannot be read ({' '.join(str(error).split())}). Give a csv file "
            f"whose columns are separated by {sep!r} (or set --sep), a csv.gz or a parquet file."
        ) from error
    table.columns = [str(name) for name in table.columns]
    if table.empty:
        raise TableError(f"table {str(path)!r} names columns but has no rows.")
    return table


def require_columns(table: pd.DataFrame, named: Sequence[tuple[str, str]], path: Path) -> None:
    """Raise if a column that was named is not there.

    Parameters
    ----------
    table : DataFrame
        The table.
    named : sequence of (str, str)
        What names the column (an option, or what it is for), and the column.
    path : Path
        Where the table came from.

    Raises
    ------
    TableError
        If one is missing; it lists the columns there are and the near matches.
    """
    missing = [(role, name) for role, name in named if name not in table]
    if not missing:
        return
    columns = [str(name) for name in table.columns]
    role, name = missing[0]
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    listed = ", ".join(columns[:_SHOWN])
    listed += f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    raise TableError(
        f"{role} must be a column of {str(path)!r}, got {name!r}{more}."
        f"{_near(name, columns)} Its columns: {listed}.{_separator(columns)}"
    )


def _near(name: str, columns: list[str]) -> str:
    lower = {column.lower(): column for column in columns}
    near = [lower[match] for match in get_close_matches(name.lower(), list(lower), n=3)]
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _separator(columns: list[str]) -> str:
    """Return a hint for a table that was not taken apart."""
    if len(columns) > 1:
        return ""
    found = next((sep for sep in _SEPARATORS if sep in columns[0]), None)
    shown = "tab" if found == "\t" else found
    return " There is one column only: " + (
        f"if columns are separated by {shown!r}, add --sep '{shown}'."
        if found
        else "is the separator right (--sep)?"
    )


def to_numbers(column: pd.Series) -> pd.Series | None:
    """Return a column as floats if all of it that is not missing is a number, else None.

    Raises
    ------
    TableError
        If a number is infinite.
    """
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return None
    if not pd.api.types.is_numeric_dtype(column) and _holds_other_than_text(column):
        return None
    numbers = pd.to_numeric(column, errors="coerce").astype("float64")
    if not numbers.isna().equals(column.isna()):
        return None
    infinite = np.isinf(numbers.to_numpy())
    if infinite.any():
        raise TableError(
            f"column {column.name!r} must hold finite numbers, got an infinite one in row "
            f"{int(infinite.argmax()) + 1}. Leave the cell empty if it is "
            "missing."
        )
    return numbers


def to_text(column: pd.Series) -> pd.Series:
    """Return a column as text, with NaN where it is missing."""
    return column.astype(object).where(column.isna(), column.astype(str)).where(column.notna())


def to_labels(column: pd.Series) -> np.ndarray:
    """Return ids or classes: whole numbers where nothing is lost by that, else text."""
    text = to_text(column)
    if text.str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
        return text.astype("int64").to_numpy()
    return text.to_numpy().astype(str)


def _holds_other_than_text(column: pd.Series) -> bool:
    """Say whether a column of objects holds lists, dates and the like."""
    return any(not isinstance(value, str) for value in column.dropna().head(100))
