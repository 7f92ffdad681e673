"""What metaskl knows of a data set before it has the file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray[Any, np.dtype[Any]]]
ColumnKind: TypeAlias = Literal["text", "int", "float"]


@dataclass(frozen=True)
class RawFile:
    """One file of the public source, pinned to a commit."""

    name: str
    path: str
    # A published checksum of the raw file as "algorithm:value"; None where nobody publishes one.
    known_hash: str | None = None


@dataclass(frozen=True)
class Source:
    """A data set: its file, the digest of its content, and how to rebuild it from public files."""

    name: str
    filename: str
    digest: str
    raw_files: tuple[RawFile, ...]
    convert: Callable[[Path], Arrays]
    # The columns of a csv file in their order; an npz file carries its own names and types.
    columns: Mapping[str, ColumnKind] = field(default_factory=dict)
    host: str = "https://raw.githubusercontent.com"

    def url(self, raw: RawFile) -> str:
        """Say where a raw file comes from."""
        return f"{self.host}/{raw.path}"
