"""How steady a result is: spread between seeds, and jumps from epoch to epoch within a run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from services.science.statistics.intervals import Interval, checked_confidence, finite_sample

Floats = NDArray[np.float64]


def sd_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """Chi-square interval of the standard deviation of normal values.

    At n = 5 it runs from 0.60 to 2.87 times the sample's standard deviation: five seeds say little about spread.
    """
    level = checked_confidence(confidence)
    sample = finite_sample(x)
    if sample.size < 2:
        return Interval(None, None, "chi_square", level)
    df, spread = sample.size - 1, float(sample.std(ddof=1))
    # chdtri takes the upper tail.
    low = spread * np.sqrt(df / special.chdtri(df, (1 - level) / 2))
    high = spread * np.sqrt(df / special.chdtri(df, (1 + level) / 2))
    return Interval(float(low), float(high), "chi_square", level)


@dataclass(frozen=True)
class Jumpiness:
    """One number per trial, each shape `(trials,)`, in the unit of the metric; 0 is perfectly smooth."""

    excess_variation: Floats
    """Sum of |changes| minus |last - first|: the way travelled for nothing."""
    detrended_sd: Floats
    """Standard deviation (ddof 1) of the epoch-to-epoch changes in the last half of the run, their mean taken out."""
    max_drawdown: Floats
    """Largest worsening from the best value so far."""


def jumpiness(curves: ArrayLike, lower_is_better: bool) -> Jumpiness:
    """Epoch-to-epoch roughness of curves.

    Args:
        curves: shape `(trials, epochs + 1)`; columns that are NaN for every trial (train_loss at epoch 0) are left out.
        lower_is_better: direction of the metric, for the drawdown.

    Returns:
        NaN where a run is too short: excess needs two points, the detrended sd two changes in the last half.

    Source: Chan et al. (2020), Measuring the reliability of reinforcement learning algorithms, sections 3.1 and 3.3.
    """
    table = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    table = table[:, ~np.isnan(table).all(axis=0)]
    trials, points = table.shape
    if points < 2:
        nothing = np.full(trials, np.nan)
        return Jumpiness(nothing, nothing.copy(), nothing.copy())
    changes = np.diff(table, axis=1)
    excess = np.abs(changes).sum(axis=1) - np.abs(table[:, -1] - table[:, 0])
    last_half = changes[:, changes.shape[1] // 2 :]
    rough = last_half.std(axis=1, ddof=1) if last_half.shape[1] > 1 else np.full(trials, np.nan)
    badness = table if lower_is_better else -table
    drawdown = (badness - np.minimum.accumulate(badness, axis=1)).max(axis=1)
    return Jumpiness(np.maximum(excess, 0.0), rough, drawdown)
