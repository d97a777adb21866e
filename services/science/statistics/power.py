"""How many seeds: power of t tests, sizes for a wanted power, and what a permutation test can reach at all."""

import math
from collections.abc import Callable

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


def two_sample_power(effect_size: ArrayLike, n: ArrayLike, alpha: ArrayLike = 0.05) -> NDArray[np.float64]:
    """Power of the two-sided two-sample t test with n values in each group and effect size d (Cohen)."""
    size = np.asarray(n, dtype=np.float64)
    return _two_sided_power(2 * size - 2, np.abs(np.asarray(effect_size, dtype=np.float64)) * np.sqrt(size / 2), alpha)


def paired_sample_size(effect_size: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Pairs, not rounded, at which a paired t test has the wanted power; infinite for no effect."""
    return _solve_size(lambda n: float(paired_power(effect_size, n, alpha)), effect_size, power, alpha)


def two_sample_size(effect_size: float, power: float = 0.8, alpha: float = 0.05) -> float:
    """Values in each group, not rounded, at which a two-sample t test has the wanted power."""
    return _solve_size(lambda n: float(two_sample_power(effect_size, n, alpha)), effect_size, power, alpha)


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


def unpaired_seeds_to_reach(alpha: float = 0.05, comparisons: int = 1) -> int:
    """The same for n against n unpaired seeds (Mann-Whitney): smallest p is 2 / C(2n, n)."""
    _check_level(alpha)
    n = 1
    while comparisons * 2 / math.comb(2 * n, n) > alpha:
        n += 1
    return n


def seeds_for_probability_of_improvement(gamma: float = 0.75, alpha: float = 0.05, beta: float = 0.05) -> float:
    """Paired runs for a test that P(A better than B) exceeds one half, when it truly is `gamma` (Noether's formula).

    Source: Bouthillier et al. (2021), Accounting for variance in machine learning benchmarks, section 5 and appendix C;
    Noether (1987), JASA 82.
    """
    if not 0.5 < gamma < 1:
        raise ValueError(f"gamma must lie strictly between 0.5 and 1, not {gamma}")
    z = special.ndtri(1 - alpha) + special.ndtri(1 - beta)
    return float((z / (math.sqrt(6) * (0.5 - gamma))) ** 2)


def _two_sided_power(df: NDArray[np.float64], shift: NDArray[np.float64], alpha: ArrayLike) -> NDArray[np.float64]:
    critical = special.stdtrit(df, 1 - np.asarray(alpha, dtype=np.float64) / 2)
    upper = 1 - special.nctdtr(df, shift, critical)
    lower = special.nctdtr(df, shift, -critical)
    return np.clip(np.nan_to_num(upper) + np.nan_to_num(lower), 0.0, 1.0)


def _solve_size(power_at: Callable[[float], float], effect_size: float, power: float, alpha: float) -> float:
    _check_level(alpha)
    _check_level(power)
    if effect_size == 0:
        return math.inf
    low, high = 2.0, 4.0
    if power_at(low) >= power:
        return low
    while power_at(high) < power:
        low, high = high, 2 * high
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if power_at(middle) >= power else (middle, high)
    return high


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a level must lie strictly between 0 and 1, not {level}")
