"""Friedman's rank test of several arms over blocks (seeds or data sets), and Nemenyi's critical difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FriedmanTest:
    """Friedman's statistics. Those without ties correction are Demsar's; `tie_corrected` is what SciPy reports."""

    mean_ranks: Floats
    chi_square: float
    chi_square_p: float
    f: float | None
    """Iman and Davenport's statistic; None where every block ranks the arms alike (it is infinite)."""
    f_p: float
    tie_corrected: float | None
    tie_corrected_p: float | None
    blocks: int
    arms: int


def friedman_test(scores: ArrayLike, lower_is_better: bool = False) -> FriedmanTest:
    """Test that all arms rank alike. With one data set the blocks are seeds, and the claim is about seeds only.

    Args:
        scores: shape `(blocks, arms)`, at least 2 by 2, finite; ties share their mean rank.
        lower_is_better: whether rank 1, the best, is the smallest value.

    Source: Demsar (2006), Statistical comparisons of classifiers over multiple data sets, JMLR 7, section 3.2.2.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or min(table.shape) < 2 or not np.isfinite(table).all():
        raise ValueError("scores must be a finite table of at least two blocks by two arms")
    blocks, arms = table.shape
    ranks = stats.rankdata(table if lower_is_better else -table, axis=1)
    mean_ranks = ranks.mean(axis=0)
    chi = 12 * blocks / (arms * (arms + 1)) * (float(np.sum(mean_ranks**2)) - arms * (arms + 1) ** 2 / 4)
    rest = blocks * (arms - 1) - chi
    f = (blocks - 1) * chi / rest if rest > 1e-12 * blocks else None
    ties = sum(float(np.sum(counts**3 - counts)) for counts in (np.unique(row, return_counts=True)[1] for row in table))
    factor = 1 - ties / (blocks * (arms**3 - arms))
    corrected = chi / factor if factor > 0 else None
    return FriedmanTest(
        mean_ranks=mean_ranks,
        chi_square=chi,
        chi_square_p=float(special.chdtrc(arms - 1, chi)),
        f=f,
        f_p=0.0 if f is None else float(special.fdtrc(arms - 1, (arms - 1) * (blocks - 1), f)),
        tie_corrected=corrected,
        tie_corrected_p=None if corrected is None else float(special.chdtrc(arms - 1, corrected)),
        blocks=blocks,
        arms=arms,
    )


def critical_difference(arms: int, blocks: int, alpha: float = 0.05) -> float:
    """Nemenyi's smallest difference of mean ranks that is significant.

    q_alpha is the studentized range at infinite degrees of freedom over sqrt(2): 2.569 for four arms at 0.05.

    Source: Demsar (2006), section 3.2.2 and table 5.
    """
    q = float(stats.studentized_range.ppf(1 - alpha, arms, np.inf)) / np.sqrt(2)
    return float(q * np.sqrt(arms * (arms + 1) / (6 * blocks)))


def nemenyi_p_values(test: FriedmanTest) -> Floats:
    """P-values of all pairs of arms, shape `(arms, arms)`, 1 on the diagonal."""
    error = np.sqrt(test.arms * (test.arms + 1) / (6 * test.blocks))
    distance = np.abs(test.mean_ranks[:, None] - test.mean_ranks[None, :]) / error * np.sqrt(2)
    p = np.asarray(stats.studentized_range.sf(distance, test.arms, np.inf), dtype=np.float64)
    np.fill_diagonal(p, 1.0)
    return np.clip(p, 0.0, 1.0)
