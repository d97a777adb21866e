"""Eigenvalues of many small matrices at once."""

import numpy as np
from numpy.typing import NDArray

from services.training.native.structures import kernel

LARGEST = 128
"""Rows of the largest matrices that the kernel is quicker with than LAPACK by half."""


def eigenvalues(matrices: NDArray[np.float64]) -> NDArray[np.floating]:
    """Eigenvalues ``[n, size]``, in no particular order, of symmetric matrices ``[n, size, size]``, finite.

    Within a few roundings of each matrix's largest, as LAPACK's are; three times as quick.

    Raises:
        KernelUnavailableError: see `kernel`.
        MemoryError: no room for the kernel's buffers.
    """
    count, size = matrices.shape[:2]
    if size > LARGEST:
        return np.linalg.eigvalsh(matrices)
    matrices, eigenvalues = np.ascontiguousarray(matrices), np.empty((count, size))
    if kernel().firstlight_eigenvalues(matrices.ctypes.data, count, size, eigenvalues.ctypes.data):
        raise MemoryError("the kernel's buffers for eigenvalues do not fit into memory")
    if len(left := np.flatnonzero(np.isnan(eigenvalues).any(axis=1))):
        eigenvalues[left] = np.linalg.eigvalsh(matrices[left])
    return eigenvalues
