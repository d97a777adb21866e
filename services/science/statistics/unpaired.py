"""Two arms that share no seeds, or of which only a published mean and spread are known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from services.science.statistics.intervals import Interval, checked_confidence, finite_sample


def probability_of_improvement(a: ArrayLike, b: ArrayLike, lower_is_better: bool = False) -> float | None:
    """P(a run of a is better than a run of b) over all pairs of runs, ties one half (Mann-Whitney's U / nm).

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.3.
    """
    first, second = finite_sample(a, "a"), finite_sample(b, "b")
    if first.size == 0 or second.size == 0:
        return None
    better = np.sign(first[:, None] - second[None, :]) * (-1 if lower_is_better else 1)
    return float(np.mean((better + 1) / 2))


def welch_interval(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Interval:
    """Welch's interval of mean(a) - mean(b) for arms that share no seeds.

    Source: Welch (1947), Biometrika 34; recommended for comparing runs by Colas, Sigaud and Oudeyer (2019).
    """
    level = checked_confidence(confidence)
    first, second = finite_sample(a, "a"), finite_sample(b, "b")
    if first.size < 2 or second.size < 2:
        return Interval(None, None, "welch", level)
    u, v = first.var(ddof=1) / first.size, second.var(ddof=1) / second.size
    mean = float(first.mean() - second.mean())
    if u + v == 0:
        return Interval(mean, mean, "welch", level)
    df = (u + v) ** 2 / (u**2 / (first.size - 1) + v**2 / (second.size - 1))
    margin = float(special.stdtrit(df, (1 + level) / 2) * np.sqrt(u + v))
    return Interval(mean - margin, mean + margin, "welch", level)


@dataclass(frozen=True)
class Summary:
    """A published mean and standard deviation (ddof 1) of n runs."""

    mean: float
    std: float
    n: int


@dataclass(frozen=True)
class TwoSampleTest:
    """Student's two-sample t test with pooled variance, for a minus b."""

    t: float
    df: int
    p_value: float
    cohen_d: float
    ci: Interval


def two_sample_test(a: Summary, b: Summary, confidence: float = 0.95) -> TwoSampleTest:
    """Compare two published results by their summaries alone.

    Raises:
        ValueError: fewer than two runs, or no spread at all.

    Source: Student (1908); Cohen (1988) for d.
    """
    if min(a.n, b.n) < 2:
        raise ValueError(f"a summary needs at least two runs, not {min(a.n, b.n)}")
    df = a.n + b.n - 2
    pooled = float(np.sqrt(((a.n - 1) * a.std**2 + (b.n - 1) * b.std**2) / df))
    if pooled == 0:
        raise ValueError("both standard deviations are 0: there is nothing to test against")
    error = pooled * np.sqrt(1 / a.n + 1 / b.n)
    difference = a.mean - b.mean
    t = float(difference / error)
    margin = float(special.stdtrit(df, (1 + checked_confidence(confidence)) / 2) * error)
    return TwoSampleTest(
        t=t,
        df=df,
        p_value=float(2 * special.stdtr(df, -abs(t))),
        cohen_d=difference / pooled,
        ci=Interval(difference - margin, difference + margin, "t_pooled", confidence),
    )
