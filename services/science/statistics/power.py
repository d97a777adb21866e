"""How many seeds: power of the paired t test, and what a permutation test can reach at all."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

MOST_SEEDS = 100_000
"""Sample sizes above this are not reported: the difference is too small to be worth finding."""


def paired_power(effect_size: ArrayLike, n: ArrayLike, alpha: ArrayLike = 0.05) -> NDArray[np.float64]:
    """Power of the two-sided paired t test, from the noncentral t distribution.

    Args:
        effect_size: mean difference over the standard deviation of the differences (d_z).
        n: number of pairs, at least 2 (need not be whole).
        alpha: level of the test.

    Source: Cohen (1988), Statistical power analysis, chapter 2.
    """
    size = np.asarray(n, dtype=np.float64)
    return _two_sided_power(size - 1, np.abs(np.asarray(effect_size, dtype=np.float64)) * np.sqrt(size), alpha)


def seeds_for_power(effect_sizes: ArrayLike, alpha: float = 0.05, power: float = 0.8) -> NDArray[np.float64]:
    """Whole numbers of pairs for the wanted power, for many effect sizes at once.

    Args:
        effect_sizes: d_z, shape `(m,)`; NaN gives NaN, an infinite one needs two pairs.
        alpha: level of each test.
        power: wanted probability of finding the difference.

    Returns:
        Shape `(m,)`; infinite where more than `MOST_SEEDS` would be needed.
    """
    d = np.abs(np.asarray(effect_sizes, dtype=np.float64))
    # The normal approximation never exceeds what the t test needs, so the search goes upwards from it.
    normal = special.ndtri(1 - alpha / 2) + special.ndtri(power)
    with np.errstate(divide="ignore"):
        start = np.floor((normal / d) ** 2)
    out = np.where(np.isnan(d), np.nan, np.where(start > MOST_SEEDS, np.inf, np.maximum(start, 2)))
    search = np.isfinite(out) & np.isfinite(d)
    out[np.isinf(d)] = 2
    while search.any():
        index = np.flatnonzero(search)
        short = index[paired_power(d[index], out[index], alpha) < power]
        search[:] = False
        search[short] = True
        out[short] += 1
    return out


def seeds_to_reach(alpha: float = 0.05, comparisons: int = 1) -> int:
    """Fewest paired seeds with which an exact sign-flip test can reach alpha in Holm's first step.

    The smallest two-sided p is 2 / 2^n, so n must satisfy comparisons * 2^(1 - n) <= alpha: 6 for one comparison at
    0.05, 10 for the fifteen pairs of six arms.
    """
    _check_level(alpha)
    if comparisons < 1:
        raise ValueError(f"comparisons must be at least 1, not {comparisons}")
    return max(1, math.ceil(1 + math.log2(comparisons / alpha) - 1e-12))


def _two_sided_power(df: NDArray[np.float64], shift: NDArray[np.float64], alpha: ArrayLike) -> NDArray[np.float64]:
    critical = special.stdtrit(df, 1 - np.asarray(alpha, dtype=np.float64) / 2)
    upper = 1 - special.nctdtr(df, shift, critical)
    lower = special.nctdtr(df, shift, -critical)
    return np.clip(np.nan_to_num(upper) + np.nan_to_num(lower), 0.0, 1.0)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a level must lie strictly between 0 and 1, not {level}")
