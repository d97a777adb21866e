"""Performance profiles: the share of runs above each score, and how far runs stay from a goal."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def performance_profile(scores: ArrayLike, thresholds: ArrayLike) -> Floats:
    """Share of all runs whose score exceeds each threshold.

    Args:
        scores: higher is better; shape `(runs,)` or `(runs, tasks)`.
        thresholds: shape `(t,)`.

    Returns:
        Shape `(t,)`; NaN without runs.

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.2.
    """
    flat, levels = np.sort(np.asarray(scores, dtype=np.float64).ravel()), np.asarray(thresholds, dtype=np.float64)
    if flat.size == 0:
        return np.full(levels.shape, np.nan)
    return 1 - np.searchsorted(flat, levels, side="right") / flat.size


def profile_band(
    scores: ArrayLike, thresholds: ArrayLike, confidence: float, rng: np.random.Generator, resamples: int = 2_000
) -> tuple[Floats, Floats]:
    """Pointwise stratified bootstrap band of a performance profile: runs are resampled within each task.

    Args:
        scores: shape `(runs,)` or `(runs, tasks)`, at least one run.
        thresholds: shape `(t,)`.
        confidence: between 0 and 1, at every threshold by itself.
        rng: a stream with purpose RESAMPLING.
        resamples: number of bootstrap samples.
    """
    table = np.asarray(scores, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    runs, tasks = table.shape
    profiles = np.empty((resamples, np.size(thresholds)))
    columns = np.arange(tasks)
    for row in range(resamples):
        profiles[row] = performance_profile(table[rng.integers(0, runs, size=(runs, tasks)), columns], thresholds)
    low, high = np.quantile(profiles, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def optimality_gap(scores: ArrayLike, goal: float = 1.0) -> float | None:
    """Mean shortfall from a goal: goal - mean(min(score, goal)); what exceeds the goal earns nothing.

    Source: Agarwal et al. (2021), section 4.3. None without scores.
    """
    flat = np.asarray(scores, dtype=np.float64).ravel()
    return None if flat.size == 0 else float(goal - np.minimum(flat, goal).mean())
