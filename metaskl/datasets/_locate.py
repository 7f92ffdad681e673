"""Find the file of a data set, or build it: shared folder, cache, raw files, network."""

import os
import shutil
from pathlib import Path

from metaskl.datasets._digest import content_digest
from metaskl.datasets._download import default_cache, download
from metaskl.datasets._errors import (
    DatasetError,
    DatasetIntegrityError,
    DatasetNotAvailableError,
)
from metaskl.datasets._source import Arrays, RawFile, Source
from metaskl.datasets._store import UNREADABLE, read_arrays, write_arrays

# Naming more raw files than this would bury the message.
_SHOWN_FILES = 6


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Say in which folder downloaded data sets are kept.

    The folder is not created: that happens when the first file is written.

    Parameters
    ----------
    data_home : str or path-like, default=None
        The folder. If None, the environment variable ``METASKL_DATA_HOME``, and if that is
        not set, ``metaskl`` in the cache folder of the operating system.

    Returns
    -------
    pathlib.Path
        The folder, with ``~`` written out.

    Examples
    --------
    >>> from metaskl.datasets import get_data_home
    >>> get_data_home("my_data").name
    'my_data'
    """
    chosen = data_home if data_home is not None else os.environ.get("METASKL_DATA_HOME")
    return Path(chosen).expanduser() if chosen else default_cache()


def load_arrays(
    source: Source, data_home: str | os.PathLike[str] | None, download_if_missing: bool
) -> tuple[Arrays, Path]:
    """Return the checked arrays of a data set and the file they were read from."""
    shared = _shared_file(source)
    if shared is not None and shared.is_file():
        return _read_checked(source, shared, cure="Replace it in the folder METASKL_DATA"), shared
    home = get_data_home(data_home)
    cached = home / source.filename
    if cached.is_file():
        return _read_checked(source, cached, cure="Delete it and call again"), cached
    raw = home / "raw" / source.name
    missing = [file for file in source.raw_files if not (raw / file.name).is_file()]
    if missing and not (download_if_missing and not _offline()):
        raise _not_available(source, shared, cached, raw, download_if_missing)
    return _build(source, cached, raw, missing), cached


def _shared_file(source: Source) -> Path | None:
    folder = os.environ.get("METASKL_DATA")
    return Path(folder).expanduser() / source.filename if folder else None


def _offline() -> bool:
    return os.environ.get("METASKL_OFFLINE", "").strip().lower() not in {"", "0", "false", "no"}


def _read_checked(source: Source, path: Path, cure: str) -> Arrays:
    try:
        arrays = read_arrays(path, source.columns)
        found = content_digest(arrays)
    except UNREADABLE as error:
        raise DatasetIntegrityError(
            f"{source.name}: {path} cannot be read ({error}). {cure}."
        ) from error
    if found != source.digest:
        raise DatasetIntegrityError(
            f"{source.name}: the content of {path} is not that of the data set (digest "
            f"{found[:12]}…, expected {source.digest[:12]}…). {cure}."
        )
    return arrays


def _build(source: Source, cached: Path, raw: Path, missing: list[RawFile]) -> Arrays:
    raw.mkdir(parents=True, exist_ok=True)
    try:
        download(source, missing, raw)
        arrays = source.convert(raw)
    except UNREADABLE as error:
        # Another process may have built the same set and cleared the raw files away meanwhile.
        if cached.is_file():
            return _read_checked(source, cached, cure="Delete it and call again")
        if isinstance(error, DatasetError):
            raise
        raise DatasetIntegrityError(
            f"{source.name}: the raw files in {raw} cannot be converted ({error}). "
            f"Delete this folder and call again."
        ) from error
    found = content_digest(arrays)
    if found != source.digest:
        raise DatasetIntegrityError(
            f"{source.name}: the raw files in {raw} do not give the arrays metaskl knows (digest "
            f"{found[:12]}…, expected {source.digest[:12]}…), so nothing was cached. Delete this "
            f"folder and call again; if it happens again, the public source has changed."
        )
    write_arrays(cached, arrays)
    shutil.rmtree(raw, ignore_errors=True)
    return arrays


def _not_available(
    source: Source, shared: Path | None, cached: Path, raw: Path, download_if_missing: bool
) -> DatasetNotAvailableError:
    why = "METASKL_OFFLINE is set" if download_if_missing else "download_if_missing is False"
    shown = source.raw_files[:_SHOWN_FILES]
    lines = [f"   {file.name} from {source.url(file)}" for file in shown]
    if len(shown) < len(source.raw_files):
        lines.append(f"   and {len(source.raw_files) - len(shown)} more of this kind")
    return DatasetNotAvailableError(
        f"{source.name}: the file {source.filename!r} is missing, and it was not downloaded "
        f"because {why}.\n"
        f"Looked for it at: {shared or 'METASKL_DATA (not set)'}; {cached}.\n"
        f"Do one of three things:\n"
        f"1. Set METASKL_DATA to a folder that holds {source.filename!r}.\n"
        f"2. Allow the download: download_if_missing=True, and METASKL_OFFLINE not set.\n"
        f"3. Put the raw files into {raw} by hand and call again:\n" + "\n".join(lines)
    )
