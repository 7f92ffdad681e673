"""Files that are there whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes the place of `path` once it is whole and on the disk.

    Until then, and if anything fails, what was at `path` stays, and nothing else is left behind.

    Parameters
    ----------
    path : Path
        The file, in a folder that exists.

    Yields
    ------
    file
        To write bytes to.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from metaskl.files import replacing
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "numbers"
    ...     with replacing(path) as file:
    ...         written = file.write(b"1 2 3")
    ...     path.read_bytes()
    b'1 2 3'
    """
    # A name of its own: another process may be writing the same file.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
