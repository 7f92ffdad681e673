"""A checksum of arrays that does not change with the way a file is packed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def content_digest(arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]) -> str:
    """Compute the SHA-256 of names, types, shapes and values, in the order of the names.

    A zip or gzip file of the same arrays differs with the date and the compressor; this does not.
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.hasobject:
            raise ValueError(f"array {name!r} holds Python objects, which have no fixed bytes")
        array = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        total.update(json.dumps([name, array.dtype.str, list(array.shape)]).encode())
        total.update(array.tobytes())
    return total.hexdigest()
