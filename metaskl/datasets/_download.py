"""The one door to pooch: where files are cached, and how they come from the network."""

from collections.abc import Iterable
from pathlib import Path

from metaskl.datasets._errors import DatasetIntegrityError, DatasetNotAvailableError
from metaskl.datasets._source import RawFile, Source

_RETRIES = 3


def default_cache() -> Path:
    """Say where this operating system keeps caches."""
    import pooch

    return Path(pooch.os_cache("metaskl"))


def download(source: Source, files: Iterable[RawFile], folder: Path) -> None:
    """Download raw files into a folder, each whole or not at all."""
    import pooch

    files = list(files)
    store = pooch.create(
        path=folder,
        base_url=source.host,
        registry={raw.name: raw.known_hash for raw in files},
        urls={raw.name: source.url(raw) for raw in files},
        retry_if_failed=_RETRIES,
    )
    for raw in files:
        try:
            store.fetch(raw.name)
        except ValueError as error:
            raise DatasetIntegrityError(
                f"{source.name}: {source.url(raw)} does not have the published checksum "
                f"{raw.known_hash}, so it was not kept. A proxy may have changed it: try again, "
                f"or fetch it by hand into {folder}."
            ) from error
        except OSError as error:
            raise DatasetNotAvailableError(
                f"{source.name}: could not download {source.url(raw)} ({error}). Files that came "
                f"through are kept in {folder}, so calling again goes on from here. Without a "
                f"network, set METASKL_DATA to a folder that holds {source.filename!r}."
            ) from error
