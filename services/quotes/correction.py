"""From a count of the work to seconds: start-up (a summand) + factor * work, both learned from finished cohorts.

A cohort that trains for milliseconds says how long a start takes and next to nothing of how quick the machine is. So
the factor is a weighted median over what cohorts trained, in logarithms, drawn towards 1 as long as little is known:

| weight of a finished cohort | |
|---|---|
| information | t^2 / (t^2 + (3 s)^2): t the lesser of its trained and counted seconds, s the usual start-up |
| likeness in kind | 1 for networks with images beside such, or dense beside dense, else `OTHER_KIND` |
| likeness in size | 1 / (1 + (d / 2)^2), d the decades between its work and the work to be quoted |

Their sum W decides by W / (W + 1/2) between what was learned and what is assumed, for the centre as for the range. A
start that takes longer than an idle machine's hints at a busy one: while little else is known the range reaches higher.
Pure.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MOST_FACTOR = 10.0
"""The factor lies between 1 / 10 and 10, whatever finished cohorts say: no quote is beyond ten times its own count."""
MOST_STARTUP = 60.0
"""Seconds of a start-up that are believed, at most."""
LEAST_STARTUP = 0.05
"""Below this a start-up is no measure of what is large."""
LARGE = 3.0
"""So many times the usual start-up is large against it."""
OTHER_KIND = 0.1
STRETCH = 0.25
"""How much wider each end of the range is, as a logarithm, per decade beyond the nearest cohort; at most as assumed."""
MOST_DECADES = 3.0
NARROWEST = 0.25
"""The least half range that scatter can earn, as a logarithm: a machine is not always equally busy."""
MOST_STRAIN = 4.0
"""How many times as high the assumed range reaches at most, where starts take that much longer than assumed."""
EDGE = 0.05
"""Share of the weight of finished cohorts that may lie beyond either end of the range."""
ASSUMPTION = 0.5
"""What is assumed weighs as half a cohort."""
INFORMATIVE = 0.5
"""The information from which on a cohort counts as large against the start-up."""


@dataclass(frozen=True)
class Observation:
    """A finished cohort.

    Attributes:
        work: counted seconds of its training, at the rates of the machine.
        trained: measured seconds of its training.
        beyond: seconds from claim to end beyond the training; None where it was interrupted in between.
        images: whether its networks have convolutions; None where that was not written down.
    """

    work: float
    trained: float
    beyond: float | None = None
    images: bool | None = False


@dataclass(frozen=True)
class Assumed:
    """What is believed while no cohort has finished.

    Attributes:
        startup_seconds: of a cohort, beyond its training.
        slow_startup_seconds: the same where its process has to be started first.
        doubt: the range is 1 / doubt to doubt times the centre.
    """

    startup_seconds: float
    slow_startup_seconds: float
    doubt: float


@dataclass(frozen=True)
class Span:
    """A positive number and the range it is believed in."""

    centre: float
    low: float
    high: float

    def plus(self, other: "Span", times: float) -> "Span":
        """The sum of this and `times` the other, end by end."""
        return Span(self.centre + times * other.centre, self.low + times * other.low, self.high + times * other.high)


@dataclass(frozen=True)
class Correction:
    """What finished cohorts teach for one piece of work.

    Attributes:
        startup: seconds beyond the training.
        factor: by which counted seconds of training are multiplied.
        starts: cohorts that taught the start-up.
        trainings: cohorts, large against the start-up, that taught the factor.
    """

    startup: Span
    factor: Span
    starts: int
    trainings: int


def correct(observations: Sequence[Observation], work: float, images: bool, assumed: Assumed) -> Correction:
    """Learn start-up and factor for `work` counted seconds.

    Args:
        observations: finished cohorts, counted at the same rates; the latest first.
        work: counted seconds of the training to be quoted.
        images: whether its networks have convolutions.
        assumed: what is believed while no cohort has finished.
    """
    seen = [min(one.beyond, MOST_STARTUP) for one in observations if one.beyond is not None]
    usual = max(LEAST_STARTUP, statistics.median(seen) if seen else assumed.startup_seconds)
    strain = min(MOST_STRAIN, max(1.0, usual / max(LEAST_STARTUP, assumed.slow_startup_seconds)))
    ends = math.log(assumed.doubt), math.log(assumed.doubt * strain)
    factor = _factor(observations, work, images, usual, ends)
    starts = [_start(one, factor.centre) for one in observations if one.beyond is not None]
    trainings = sum(one.images is images and _information(one, usual) >= INFORMATIVE for one in observations)
    return Correction(_startup(starts, assumed), factor, len(starts), trainings)


def _start(one: Observation, factor: float) -> float:
    """Seconds of a start: what small cohorts took beyond the work counted for them is no training either."""
    assert one.beyond is not None
    small = factor * one.work < one.beyond
    unexplained = max(0.0, one.trained - factor * one.work) if small else 0.0
    return min(MOST_STARTUP, max(0.0, one.beyond) + unexplained)


def _startup(starts: Sequence[float], prior: Assumed) -> Span:
    assumed, doubt = prior.startup_seconds, prior.doubt
    trust = len(starts) / (len(starts) + ASSUMPTION)
    middle, low, high = _cuts(starts) if starts else (assumed, assumed, assumed)
    centre = trust * middle + (1 - trust) * assumed
    return Span(
        centre,
        min(trust * low + (1 - trust) * assumed / doubt, centre * math.exp(-NARROWEST)),
        max(trust * high + (1 - trust) * assumed * doubt, centre * math.exp(NARROWEST)),
    )


def _cuts(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and the ends of what most are within."""
    return (
        statistics.median(values),
        _weighted_quantile(values, [1.0] * len(values), EDGE),
        _weighted_quantile(values, [1.0] * len(values), 1 - EDGE),
    )


def _information(one: Observation, usual: float) -> float:
    size = min(one.trained, one.work)
    return size**2 / (size**2 + (LARGE * usual) ** 2) if size > 0 else 0.0


def _factor(
    observations: Sequence[Observation], work: float, images: bool, usual: float, ends: tuple[float, float]
) -> Span:
    bound = math.log(MOST_FACTOR)
    logs: list[float] = []
    weights: list[float] = []
    distances: list[float] = []
    for one in observations:
        information = _information(one, usual)
        if information <= 0.0:
            continue
        decades = abs(math.log10(max(work, 1e-6) / one.work))
        kind = 1.0 if one.images is images else OTHER_KIND
        logs.append(min(bound, max(-bound, math.log(one.trained / one.work))))
        weights.append(information * kind / (1 + (decades / 2) ** 2))
        if information >= INFORMATIVE and one.images is images:
            distances.append(decades)
    whole = math.fsum(weights)
    trust = whole / (whole + ASSUMPTION)
    if not logs:
        return Span(1.0, math.exp(-ends[0]), math.exp(ends[1]))
    first, middle, last = (_weighted_quantile(logs, weights, share) for share in (EDGE, 0.5, 1 - EDGE))
    centre = trust * middle
    stretch = STRETCH * min(MOST_DECADES, max(0.0, min(distances, default=0.0) - 0.5))
    below = trust * max(NARROWEST, middle - first) + (1 - trust) * ends[0]
    above = trust * max(NARROWEST, last - middle) + (1 - trust) * ends[1]
    # Work that is far from all that was seen is known no worse than if nothing had been.
    below, above = max(below, min(below + stretch, ends[0])), max(above, min(above + stretch, ends[1]))
    return Span(math.exp(centre), math.exp(centre - below), math.exp(centre + above))


def _weighted_quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """The least value up to which the weights make this share of their sum."""
    ordered = sorted(zip(values, weights, strict=True))
    goal, passed = share * math.fsum(weights), 0.0
    for value, weight in ordered:
        passed += weight
        if passed >= goal:
            return value
    return ordered[-1][0]
