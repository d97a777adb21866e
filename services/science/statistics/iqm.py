"""Interquartile mean."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def iqm(values: ArrayLike) -> float | None:
    """Mean of the middle half of all values; None for no values.

    A quarter of the values, rounded down, is cut at each end: five runs leave the middle three, three runs are not cut.

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.2.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    cut = flat.size // 4
    return None if flat.size == 0 else float(np.sort(flat)[cut : flat.size - cut].mean())
