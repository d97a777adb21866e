"""Interquartile mean and its stratified bootstrap interval."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.science.statistics.intervals import Interval, checked_confidence

Floats = NDArray[np.float64]


def iqm(values: ArrayLike) -> float | None:
    """Mean of the middle half of all values; None for no values.

    A quarter of the values, rounded down, is cut at each end: five runs leave the middle three, three runs are not cut.

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.2.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    return None if flat.size == 0 else float(iqm_rows(flat))


def iqm_rows(values: Floats) -> Floats:
    """The same for each row of an array `(rows, n)` without gaps."""
    cut = values.shape[-1] // 4
    ordered = np.sort(values, axis=-1)
    return ordered[..., cut : values.shape[-1] - cut].mean(axis=-1)


def stratified_bootstrap_iqm(
    scores: ArrayLike, confidence: float, rng: np.random.Generator, resamples: int = 2_000
) -> Interval:
    """Percentile bootstrap interval of the interquartile mean over runs and tasks.

    Runs are resampled within each task, so that every task keeps its weight.

    Args:
        scores: shape `(runs, tasks)`, or `(runs,)` for one task. Fewer than two runs give no bounds.
        confidence: between 0 and 1.
        rng: a stream with purpose RESAMPLING.
        resamples: number of bootstrap samples.

    Source: Agarwal et al. (2021), section 4.1.
    """
    level = checked_confidence(confidence)
    table = np.asarray(scores, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    runs, tasks = table.shape
    if runs < 2:
        return Interval(None, None, "stratified_bootstrap", level)
    drawn = rng.integers(0, runs, size=(resamples, runs, tasks))
    samples = np.take_along_axis(table[None], drawn, axis=1).reshape(resamples, runs * tasks)
    low, high = np.quantile(iqm_rows(samples), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), "stratified_bootstrap", level)
