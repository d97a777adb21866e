"""Effect size of two arms that ran the same seeds."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.science.statistics.intervals import finite_sample

Floats = NDArray[np.float64]


def cohen_dz(differences: ArrayLike) -> float | None:
    """Mean difference over the standard deviation (ddof 1) of the differences; None without spread or with n < 2."""
    d = finite_sample(differences, "differences")
    if d.size < 2 or not spread_of(d) > 0:
        return None
    return float(d.mean() / d.std(ddof=1))


def spread_of(differences: Floats) -> float:
    """Standard deviation (ddof 1), and exactly zero where only rounding is left of it."""
    spread = float(differences.std(ddof=1))
    return spread if spread > 1e-12 * float(np.abs(differences).max()) else 0.0
