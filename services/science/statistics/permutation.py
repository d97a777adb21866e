"""Sign-flip permutation test of paired differences: exact for up to thirty pairs, Monte Carlo above."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.science.statistics.intervals import finite_sample

Floats = NDArray[np.float64]

EXACT_LIMIT = 30
"""Up to this many pairs all 2^n sign patterns are counted (1.5 ms at thirty, without listing them)."""
DRAWS = 100_000
"""Random sign patterns above that, unless more are asked for."""
_CHUNK = 20_000
_TIE = 1e-9
"""Sums closer than this share of the total absolute difference are ties: rounding must not break them."""


@dataclass(frozen=True)
class SignFlip:
    """Result of a sign-flip test.

    `p_value` is None for no pairs. `min_attainable_p` is the smallest p that so many pairs (or draws) can ever give.
    """

    p_value: float | None
    min_attainable_p: float | None
    method: str
    n: int


def min_attainable_p(n: int, draws: int = DRAWS) -> float | None:
    """Smallest two-sided p of a sign-flip test with n pairs: 2 / 2^n exact, 1 / (draws + 1) at least by Monte Carlo."""
    if n < 1:
        return None
    return 2.0 ** (1 - n) if n <= EXACT_LIMIT else max(2.0 ** (1 - n), 1 / (draws + 1))


def sign_flip_test(
    differences: ArrayLike, rng: np.random.Generator | None = None, draws: int = DRAWS, exact_limit: int = EXACT_LIMIT
) -> SignFlip:
    """Two-sided test that paired differences are symmetric about zero.

    Under the null every difference is as likely with either sign; p is the share of the 2^n sign patterns whose
    absolute sum is at least the observed one. Nothing is assumed about the distribution.

    Args:
        differences: shape `(n,)`, finite. All zero gives p = 1.
        rng: a stream with purpose RESAMPLING; needed above `exact_limit` pairs only.
        draws: Monte Carlo patterns; p is then (1 + hits) / (1 + draws), which is never too small on average.
        exact_limit: largest n that is counted exactly.

    Raises:
        ValueError: more pairs than `exact_limit` and no generator.

    Source: Fisher (1935), The design of experiments, section 21; Phipson and Smyth (2010) for the added one.
    """
    d = finite_sample(differences, "differences")
    if d.size == 0:
        return SignFlip(None, None, "none", 0)
    if d.size <= exact_limit:
        return SignFlip(exact_sign_flip_p(d), 2.0 ** (1 - d.size), "sign_flip_exact", d.size)
    if rng is None:
        raise ValueError(f"{d.size} pairs are more than {exact_limit}: a Monte Carlo test needs a generator")
    p = monte_carlo_sign_flip_p(d[:, None], rng, draws)
    return SignFlip(float(p[0]), min_attainable_p(d.size, draws), "sign_flip_monte_carlo", d.size)


def exact_sign_flip_p(differences: Floats) -> float:
    """Exact two-sided p over all 2^n sign patterns, in O(2^(n/2) n) steps.

    The pairs are cut in two halves; each half has 2^(n/2) signed sums, and for each sum of the one a binary search in
    the sorted sums of the other counts the patterns that reach the observed total.
    """
    observed = abs(float(differences.sum()))
    reach = observed - _TIE * float(np.abs(differences).sum())
    if reach <= 0:
        return 1.0
    half = differences.size // 2
    # Both are sorted: searching for ascending values keeps to the cache.
    left, right = np.sort(_signed_sums(differences[:half])), np.sort(_signed_sums(differences[half:]))
    upper = right.size * left.size - int(np.searchsorted(right, reach - left[::-1], side="left").sum())
    return min(1.0, 2 * upper / (left.size * right.size))


def monte_carlo_sign_flip_p(differences: Floats, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Monte Carlo p of many tests over the same seeds with one set of sign patterns.

    Args:
        differences: shape `(n, tests)`.
        rng: a stream with purpose RESAMPLING.
        draws: number of random sign patterns.

    Returns:
        p of each test, shape `(tests,)`.
    """
    n, tests = differences.shape
    reach = np.abs(differences.sum(axis=0)) - _TIE * np.abs(differences).sum(axis=0)
    hits = np.zeros(tests, dtype=np.int64)
    for start in range(0, draws, _CHUNK):
        signs = 2.0 * rng.integers(0, 2, size=(min(_CHUNK, draws - start), n)) - 1.0
        hits += np.sum(np.abs(signs @ differences) >= reach, axis=0)
    return (hits + 1) / (draws + 1)


def _signed_sums(values: Floats) -> Floats:
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums
