"""Fewer points of a curve, chosen and never averaged: what is shown was measured, and chosen the same each time."""

import itertools

import numpy as np
from numpy.typing import NDArray

METHOD = "min-max"
DESCRIPTION = (
    "first and last row kept; between them the rows are cut into equal runs, and of each run the rows with the lowest "
    "and the highest value are kept"
)


def keep(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Choose at most `points` indices of a curve, in rising order.

    Args:
        values: `[n]`, NaN where there is no number.
        points: at least 2.

    Returns:
        All indices when there are no more than `points`; else the first, the last, and of each of
        ``(points - 2) // 2`` equal runs between them the lowest and the highest value (the first NaN where a run has
        no number).
    """
    n = values.size
    if n <= points:
        return np.arange(n, dtype=np.int64)
    places = {0, n - 1}
    buckets = (points - 2) // 2
    bounds = np.linspace(1, n - 1, buckets + 1).round().astype(int)
    for low, high in itertools.pairwise(bounds):
        run = values[low:high]
        if run.size == 0:
            continue
        if np.isnan(run).all():
            places.add(int(low))
        else:
            places.update((int(low + np.nanargmin(run)), int(low + np.nanargmax(run))))
    return np.array(sorted(places), dtype=np.int64)
