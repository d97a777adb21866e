"""The test behind one claim, and what it leans to before it is adjusted for the others."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from services.science.hypotheses.ast import Relation
from services.science.hypotheses.models import Test, Verdict
from services.science.statistics.intervals import Interval
from services.science.statistics.paired import spread_of
from services.science.statistics.permutation import min_attainable_p, sign_flip_test
from services.science.streams import Purpose, stream

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Decision:
    """A claim before adjustment.

    Attributes:
        leaning: the verdict if `p` is small enough.
        p: two-sided; None where no test can be made.
        method: of the test.
        floor: smallest p that so many seeds can give.
        nearest: the bound that the differences have to be told apart from.
        certain: a verdict that needs no test.
        interval: where it is not the t interval of the differences.
    """

    leaning: Verdict
    p: float | None
    method: str
    floor: float | None
    nearest: float | None = 0.0
    certain: Verdict | None = None
    interval: Interval | None = None
    notes: tuple[str, ...] = field(default=())


def decide(differences: Floats, relation: Relation, tolerance: float, test: Test, seed: int) -> Decision:
    """Test paired differences, left minus right, against a relation.

    Args:
        differences: shape `(n,)`, no NaN; infinite where only one side diverged.
        relation: what is claimed of the differences against zero.
        tolerance: of `within`.
        test: for finite differences; infinite ones leave only their signs.
        seed: of Monte Carlo sign patterns.
    """
    d = differences
    if d.size == 0:
        return Decision("undecided", None, "none", None, nearest=None, notes=("no seed has both sides yet",))
    if relation == "within":
        return _within(d, tolerance, test, seed)
    if d.size > 1 and not np.any(d):
        certain: Verdict = "upheld" if relation in ("<=", ">=") else "refuted"
        same = ("both sides are exactly equal at every seed",)
        return Decision("undecided", 1.0, "equal", min_attainable_p(d.size), certain=certain, notes=same)
    p, method, floor, notes = _two_sided(d, test, seed)
    centre = _centre(d)
    says = centre < 0 if relation in ("<", "<=") else centre > 0
    leaning: Verdict = "undecided" if centre == 0 else "upheld" if says else "refuted"
    return Decision(leaning, p, method, floor, notes=notes)


def _within(d: Floats, tolerance: float, test: Test, seed: int) -> Decision:
    """Two tests, against both ends of the tolerance; outside it, one against the nearer end.

    Source: Schuirmann (1987), A comparison of the two one-sided tests procedure; here both are made two-sided at the
    same level, as every other claim is.
    """
    centre = _centre(d)
    inside = np.isfinite(centre) and abs(centre) < tolerance
    nearest = float(np.copysign(tolerance, centre))
    if not inside:
        p, method, floor, notes = _two_sided(d - nearest, test, seed)
        return Decision("refuted", p, method, floor, nearest, notes=notes)
    above, method, floor, notes = _two_sided(d + tolerance, test, seed)
    below, _, _, _ = _two_sided(d - tolerance, test, seed)
    p = None if above is None or below is None else max(above, below)
    return Decision("upheld", p, method, floor, nearest, notes=notes)


def _centre(d: Floats) -> float:
    """The side on which the differences lie; signs decide where some are infinite."""
    if np.isfinite(d).all():
        return float(d.mean())
    votes = float(np.sign(d).sum())
    return votes * np.inf if votes else 0.0


def _two_sided(d: Floats, test: Test, seed: int) -> tuple[float | None, str, float | None, tuple[str, ...]]:
    """p, method, smallest possible p, and what to say about it."""
    if np.isinf(d).any():
        flipped = sign_flip_test(np.sign(d), stream(seed, Purpose.RESAMPLING, 0))
        return flipped.p_value, "sign", flipped.min_attainable_p, ()
    if test == "sign_flip":
        flipped = sign_flip_test(d, stream(seed, Purpose.RESAMPLING, 0))
        return flipped.p_value, flipped.method, flipped.min_attainable_p, ()
    if d.size < 2 or spread_of(d) == 0:
        return None, "t", None, ("the differences do not vary, so a t test says nothing; ask for test=sign_flip",)
    statistic = abs(float(d.mean())) / (spread_of(d) / np.sqrt(d.size))
    return float(2 * special.stdtr(d.size - 1, -statistic)), "t", 0.0, ()


def decide_share(
    diverged: int, trials: int, relation: Relation, bound: float, tolerance: float, confidence: float
) -> Decision:
    """Hold the share of diverged trials against a number, by the binomial distribution.

    Args:
        diverged: trials that diverged.
        trials: trials with an outcome.
        relation: claimed of share minus bound.
        bound: the number.
        tolerance: of `within`.
        confidence: of the exact interval of share minus bound (Clopper and Pearson 1934).
    """
    if trials == 0:
        return Decision("undecided", None, "none", None, nearest=None, notes=("no trial has an outcome yet",))
    share = diverged / trials
    exact = stats.binomtest(diverged, trials).proportion_ci(confidence, "exact")
    interval = Interval(float(exact.low) - bound, float(exact.high) - bound, "clopper_pearson", confidence)
    inside = abs(share - bound) < tolerance
    ends = [bound]
    if relation == "within":
        nearer = bound + float(np.copysign(tolerance, share - bound))
        ends = [bound - tolerance, bound + tolerance] if inside else [nearer]
    p = max(_binomial_p(diverged, trials, end) for end in ends)
    floor = min(_binomial_p(extreme, trials, ends[0]) for extreme in (0, trials))
    if relation == "within":
        leaning: Verdict = "upheld" if inside else "refuted"
    elif share == bound:
        leaning = "undecided"
    else:
        leaning = "upheld" if (share < bound) == (relation in ("<", "<=")) else "refuted"
    return Decision(leaning, p, "binomial", floor, nearest=None, interval=interval)


def _binomial_p(diverged: int, trials: int, share: float) -> float:
    """Two-sided exact p; a share that cannot be is told apart by any outcome but is certain for none."""
    if share < 0 or share > 1:
        return 0.0
    return float(stats.binomtest(diverged, trials, share).pvalue)
