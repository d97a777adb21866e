"""Adding seeds until sure, without paying for the peeking in errors.

Whoever looks after every round and stops at the first significant result errs far more often than the level says (26 %
instead of 5 % with a t test after each of n = 5, 10, ..., 100). Here the level is spent over the looks: look r of R is
made at level alpha / R, or, with no maximum fixed in advance, at 6 alpha / (pi^2 r^2), which sums to alpha over all r.
By the union bound the chance that any interval of any look is wrong is then at most alpha, whatever the rule for
stopping and however the looks depend on each other. For normal values every look is an exact t interval. That is a
little wider than the best group-sequential bounds, and needs no more proof than this paragraph.

Values that are all equal give an interval without width, which never settles anything: rounded metrics of two seeds can
be equal by chance.

Several intervals at one look (arms, or pairs of arms) share that look's level equally, by the same bound.

Source: the union bound; Armitage, McPherson and Rowe (1969), J. Royal Statistical Society A 132, on repeated looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import pi
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from services.science.statistics.intervals import Interval, t_interval

Floats = NDArray[np.float64]
Relation = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True)
class HalfwidthDecision:
    """Whether every arm's mean is known to the wanted precision."""

    stop: bool
    reason: str
    level: float
    """Confidence of each single interval at this look."""
    intervals: tuple[Interval, ...]


@dataclass(frozen=True)
class PairDecision:
    """What is known of one pair at this look: the first arm is better, worse, as good as equal, or undecided."""

    a: int
    b: int
    relation: Relation
    interval: Interval


@dataclass(frozen=True)
class RankedDecision:
    """Whether the wanted order of the arms is settled."""

    stop: bool
    reason: str
    level: float
    pairs: tuple[PairDecision, ...]
    best: int | None
    """The arm shown to be better than, or equivalent to, every other; None while there is none."""


def look_alpha(alpha: float, look: int, looks: int | None) -> float:
    """Part of alpha that is spent at one look.

    Args:
        alpha: for all looks together.
        look: number of this look, from 1.
        looks: how many there will be at most, fixed before the first; None for no maximum.

    Raises:
        ValueError: a look beyond the maximum.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
    if look < 1 or (looks is not None and look > looks):
        raise ValueError(f"look must be between 1 and {looks if looks is not None else 'infinity'}, not {look}")
    return 6 * alpha / (pi * look) ** 2 if looks is None else alpha / looks


def decide_halfwidth(
    samples: Sequence[ArrayLike], target: float, confidence: float, look: int, looks: int | None
) -> HalfwidthDecision:
    """Stop once every arm's interval has at most the wanted half width.

    The intervals at the stop hold for all arms together with probability of at least `confidence`, although the time of
    stopping depends on the data.

    Args:
        samples: finished values of each arm so far, shapes `(n_i,)`. An arm without any (all diverged) is left out.
        target: half width, in the unit of the metric, above 0.
        confidence: over all arms and looks.
        look: number of this look, from 1.
        looks: the most there will be, or None.
    """
    if not target > 0:
        raise ValueError(f"target must be above 0, not {target}")
    used = [np.asarray(sample, dtype=np.float64) for sample in samples if np.size(sample)]
    level = 1 - look_alpha(1 - confidence, look, looks) / max(len(used), 1)
    intervals = tuple(t_interval(sample, level) for sample in used)
    wide = [interval for interval in intervals if not _spread(interval) or (interval.halfwidth or 0.0) > target]
    if used and not wide:
        return HalfwidthDecision(True, f"every interval is within {target:.4g} of its mean", level, intervals)
    if looks is not None and look >= looks:
        reason = f"the last of {looks} looks: {len(wide)} of {len(used)} arms are still less certain than {target:.4g}"
        return HalfwidthDecision(True, reason, level, intervals)
    reason = f"{len(wide)} of {len(used)} arms are still less certain than {target:.4g}"
    return HalfwidthDecision(False, reason, level, intervals)


def decide_ranked(
    values: ArrayLike,
    lower_is_better: bool,
    confidence: float,
    look: int,
    looks: int | None,
    tolerance: float = 0.0,
    goal: Literal["best", "order"] = "best",
) -> RankedDecision:
    """Stop once the best arm, or the whole order, is settled by paired differences.

    With probability of at least `confidence` no pair is ever called better or worse the wrong way round, nor equivalent
    when it differs by more than the tolerance, at any look.

    Args:
        values: shape `(arms, seeds)`, NaN where a trial diverged or is missing; pairs use their common seeds.
        lower_is_better: direction of the metric.
        confidence: over all pairs and looks.
        look: number of this look, from 1.
        looks: the most there will be, or None.
        tolerance: a difference that does not matter: a pair whose interval lies within it is equivalent. With 0 equal
            arms are never settled and only the last look stops.
        goal: whether one best arm is wanted or every pair.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"values must have shape (arms, seeds), not {table.shape}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, not {tolerance}")
    arms = table.shape[0]
    level = 1 - look_alpha(1 - confidence, look, looks) / max(arms * (arms - 1) // 2, 1)
    pairs = tuple(_decide_pair(table, a, b, level, lower_is_better, tolerance) for a, b in combinations(range(arms), 2))
    best = _best(arms, pairs)
    open_pairs = sum(pair.relation == "undecided" for pair in pairs)
    if best is not None and (goal == "best" or open_pairs == 0):
        return RankedDecision(
            True, "the best arm is settled" if goal == "best" else "order settled", level, pairs, best
        )
    if open_pairs == 0:
        return RankedDecision(True, "every pair is settled, without one best arm", level, pairs, None)
    left = f"{open_pairs} of {len(pairs)} pairs are undecided"
    if looks is not None and look >= looks:
        return RankedDecision(True, f"the last of {looks} looks: {left}", level, pairs, best)
    return RankedDecision(False, left, level, pairs, best)


def _decide_pair(table: Floats, a: int, b: int, level: float, lower_is_better: bool, tolerance: float) -> PairDecision:
    difference = table[a] - table[b]
    interval = t_interval(difference[~np.isnan(difference)], level)
    relation: Relation = "undecided"
    if interval.low is not None and interval.high is not None and _spread(interval):
        if -tolerance <= interval.low and interval.high <= tolerance:
            relation = "equivalent"
        elif interval.low > 0 or interval.high < 0:
            relation = "better" if (interval.high < 0) == lower_is_better else "worse"
    return PairDecision(a, b, relation, interval)


def _spread(interval: Interval) -> bool:
    """Whether the values differed at all: equal values (rounded accuracies of two seeds) are no sign of precision."""
    return interval.low is not None and interval.high is not None and interval.high > interval.low


def _best(arms: int, pairs: Sequence[PairDecision]) -> int | None:
    """The arm that no pair leaves behind or undecided; of equivalent ones the first."""
    beaten: set[int] = set()
    for pair in pairs:
        if pair.relation == "undecided":
            beaten |= {pair.a, pair.b}
        elif pair.relation != "equivalent":
            beaten.add(pair.b if pair.relation == "better" else pair.a)
    standing = [arm for arm in range(arms) if arm not in beaten]
    return standing[0] if standing else None
