"""Two shares: Fisher's exact test."""

from functools import lru_cache

import numpy as np
from scipy import special

_TIE = 1e-7
"""Tables whose probability is larger by no more than this share count as no likelier than the one seen: rounding."""


@lru_cache(maxsize=4096)
def fisher_exact_p(hits: int, trials: int, other_hits: int, other_trials: int) -> float:
    """Two-sided p of `hits` of `trials` against `other_hits` of `other_trials`, by the probabilities of all tables.

    Args:
        hits: of the first, 0 to `trials`.
        trials: of the first.
        other_hits: of the second, 0 to `other_trials`.
        other_trials: of the second.

    Returns:
        1 where one of them has no trials.

    Raises:
        ValueError: more hits than trials, or a negative number.

    Source: Fisher (1935), The logic of inductive inference, J. Royal Statistical Society 98.
    """
    for name, part, whole in (("hits", hits, trials), ("other_hits", other_hits, other_trials)):
        if not 0 <= part <= whole:
            raise ValueError(f"{name} must lie between 0 and its trials, {whole}, not {part}")
    both = hits + other_hits
    possible = np.arange(max(0, both - other_trials), min(trials, both) + 1, dtype=np.float64)
    weights = _log_choose(trials, possible) + _log_choose(other_trials, both - possible)
    probabilities = np.exp(weights - special.logsumexp(weights))
    seen = probabilities[hits - int(possible[0])]
    return float(min(1.0, probabilities[probabilities <= seen * (1 + _TIE)].sum()))


def _log_choose(n: int, k: np.ndarray) -> np.ndarray:
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
