"""Two arms that ran the same seeds: difference, interval, effect size and probability of improvement."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.science.statistics.intervals import Interval, finite_sample, t_interval
from services.science.statistics.permutation import DRAWS, SignFlip, sign_flip_test

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PairedDifference:
    """a minus b over their common seeds. Numbers are None where too few pairs are left."""

    n: int
    mean: float | None
    ci: Interval
    test: SignFlip
    effect_size: float | None
    effect_size_corrected: float | None


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    confidence: float = 0.95,
    rng: np.random.Generator | None = None,
    draws: int = DRAWS,
) -> PairedDifference:
    """Compare two arms seed by seed.

    Args:
        a: values of the one arm, shape `(n,)`.
        b: values of the other on the same seeds, in the same order.
        confidence: of the t interval of the mean difference.
        rng: a stream with purpose RESAMPLING, needed above thirty pairs.
        draws: Monte Carlo sign patterns above thirty pairs.

    Raises:
        ValueError: different lengths.
    """
    first, second = finite_sample(a, "a"), finite_sample(b, "b")
    if first.size != second.size:
        raise ValueError(f"paired arms must have the same seeds: {first.size} values against {second.size}")
    d = first - second
    return PairedDifference(
        n=d.size,
        mean=float(d.mean()) if d.size else None,
        ci=t_interval(d, confidence),
        test=sign_flip_test(d, rng, draws),
        effect_size=cohen_dz(d),
        effect_size_corrected=hedges_gz(d),
    )


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


def hedges_gz(differences: ArrayLike) -> float | None:
    """`cohen_dz` times 1 - 3 / (4 (n - 1) - 1), which takes out most of its upward bias at small n.

    Source: Hedges (1981), J. Educational Statistics 6. At n = 2 the factor is 0 and says nothing: None.
    """
    d = finite_sample(differences, "differences")
    size = cohen_dz(d)
    return None if size is None or d.size < 3 else size * (1 - 3 / (4 * (d.size - 1) - 1))


def paired_probability_of_improvement(a: ArrayLike, b: ArrayLike, lower_is_better: bool = False) -> float | None:
    """Share of the seeds on which a is better than b, ties counting one half; None for no seeds."""
    first, second = finite_sample(a, "a"), finite_sample(b, "b")
    if first.size != second.size:
        raise ValueError(f"paired arms must have the same seeds: {first.size} values against {second.size}")
    if first.size == 0:
        return None
    better = np.sign(first - second) * (-1 if lower_is_better else 1)
    return float(np.mean((better + 1) / 2))
