"""One number over the seeds of an arm, and how sure it is: a t interval, the range of two seeds, nothing of one."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from services.science.figures.base import Record, plural
from services.science.figures.study import Study
from services.science.statistics.intervals import t_interval

FEWEST_FOR_T = 3
"""With two values a t interval is 12.7 standard errors wide at 95 % and says less than the two values themselves."""
_LARGEST_LOG = 700.0
"""Logarithms beyond it are no float64 any more."""


@dataclass(frozen=True)
class OverSeeds:
    """A mean over `n` seeds. `method` is ``t``, ``range`` (of two seeds) or None (one seed: no bounds)."""

    n: int
    mean: float
    low: float | None
    high: float | None
    method: str | None


def mean_over_seeds(values: ArrayLike, confidence: float) -> OverSeeds:
    """Arithmetic mean with its interval.

    Args:
        values: finite, shape `(n,)`, at least one.
        confidence: of the t interval.
    """
    x = np.asarray(values, dtype=np.float64)
    mean = float(x.mean())
    if x.size < FEWEST_FOR_T:
        several = x.size > 1
        ends = (float(x.min()), float(x.max())) if several else (None, None)
        return OverSeeds(x.size, mean, *ends, "range" if several else None)
    interval = t_interval(x, confidence)
    return OverSeeds(x.size, mean, interval.low, interval.high, "t")


def geometric_mean_over_seeds(values: ArrayLike, confidence: float) -> OverSeeds:
    """Geometric mean with its interval: that of the logarithms, for numbers on a logarithmic scale.

    Args:
        values: above zero, shape `(n,)`, at least one.
        confidence: of the t interval.
    """
    logs = mean_over_seeds(np.log(np.asarray(values, dtype=np.float64)), confidence)
    return OverSeeds(logs.n, _exp(logs.mean), _bound(logs.low), _bound(logs.high), logs.method)


def interval_words(summaries: Iterable[OverSeeds], confidence: float, mean: str) -> str | None:
    """What the intervals of a figure are; None where no seed has a second beside it.

    Args:
        summaries: everything shown.
        confidence: of the t intervals.
        mean: of what they are, such as ``geometric mean``.
    """
    methods = {item.method for item in summaries}
    percent = f"{100 * confidence:g} % t interval of the {mean} over seeds"
    if "t" in methods:
        return f"{percent} (of two seeds their range)" if "range" in methods else percent
    return "range of the two seeds" if "range" in methods else None


def bounds_of(item: OverSeeds, trials: int) -> Record:
    """The columns that tell how sure a number is; `trials` is how many the arm has."""
    return {"low": item.low, "high": item.high, "n": item.n, "trials": trials, "interval": item.method}


def layer_sentences(study: Study, *, whole: bool, zeros: int = 0) -> list[str]:
    """What a figure of layers has to say of trials and arms that are not in all of it.

    Args:
        study: whose.
        whole: whether every trial of the shown arms has a number everywhere.
        zeros: numbers of exactly zero among those of the layers, where the scale is logarithmic.
    """
    lines: list[str] = []
    if study.diverged and not whole:
        lines.append(
            f"{study.diverged} of {plural(study.trials, 'trial')} diverged; their layers count as long as they were "
            "measured."
        )
    if study.unfinished:
        lines.append(f"{study.unfinished} of {plural(study.trials, 'trial')} have not finished.")
    if zeros:
        are = "is" if zeros == 1 else "are"
        lines.append(f"{plural(zeros, 'number')} of zero {are} in no mean: a log scale has no place for zero.")
    if study.layers_left_out:
        named, more = study.layers_left_out[:3], len(study.layers_left_out) - 3
        rest = f" and {more} more" if more > 0 else ""
        lines.append(f"There are too many layers for one picture. Left out: {'; '.join(named)}{rest}.")
    return lines


def _exp(logarithm: float) -> float:
    return float(np.exp(np.clip(logarithm, -_LARGEST_LOG, _LARGEST_LOG)))


def _bound(logarithm: float | None) -> float | None:
    return None if logarithm is None else _exp(logarithm)
