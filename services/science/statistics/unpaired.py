"""Two arms whose runs are not paired."""

import numpy as np
from numpy.typing import ArrayLike

from services.science.statistics.intervals import finite_sample


def probability_of_improvement(a: ArrayLike, b: ArrayLike, lower_is_better: bool = False) -> float | None:
    """P(a run of a is better than a run of b) over all pairs of runs, ties one half (Mann-Whitney's U / nm).

    Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.3.
    """
    first, second = finite_sample(a, "a"), finite_sample(b, "b")
    if first.size == 0 or second.size == 0:
        return None
    better = np.sign(first[:, None] - second[None, :]) * (-1 if lower_is_better else 1)
    return float(np.mean((better + 1) / 2))
