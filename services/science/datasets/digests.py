"""Digests of arrays, for data that are not read from a published file."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest_of(*arrays: NDArray[Any]) -> str:
    """SHA-256 of the types, shapes and little-endian bytes of arrays, in order."""
    content = hashlib.sha256()
    for array in arrays:
        kind = array.dtype.newbyteorder("<")
        content.update(f"{kind.str}{array.shape}".encode())
        content.update(np.ascontiguousarray(array, dtype=kind).data)
    return content.hexdigest()
