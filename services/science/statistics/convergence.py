"""How fast a trial learns: epochs to a threshold with censoring, Kaplan-Meier, area under a curve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]


def epochs_to_threshold(curves: ArrayLike, threshold: float, lower_is_better: bool, sustained: int = 1) -> Floats:
    """First epoch at which each curve is at least as good as the threshold, for `sustained` epochs in a row.

    Args:
        curves: shape `(trials, epochs + 1)`, column 0 is the untrained network. NaN never reaches anything.
        threshold: value to reach.
        lower_is_better: whether reaching means at most (a loss) or at least (an accuracy).
        sustained: how many epochs it has to hold; the first of them is returned.

    Returns:
        Shape `(trials,)`; NaN where the threshold is not reached (a censored trial, never to be left out).
    """
    table = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    if sustained < 1:
        raise ValueError(f"sustained must be at least 1, not {sustained}")
    good = table <= threshold if lower_is_better else table >= threshold
    if sustained > table.shape[1]:
        return np.full(table.shape[0], np.nan)
    held = np.lib.stride_tricks.sliding_window_view(good, sustained, axis=1).all(axis=-1)
    return np.where(np.any(held, axis=1), np.argmax(held, axis=1), np.nan)


def area_under_curve(curves: ArrayLike) -> Floats:
    """Trapezoid of each curve over its epochs, divided by their number: the mean level on the way.

    Leading NaN (the training loss of epoch 0) are left out; a curve with one point is that point.

    Args:
        curves: shape `(trials, epochs + 1)`.
    """
    table = np.atleast_2d(np.asarray(curves, dtype=np.float64))
    first = int(np.isnan(table).all(axis=0).argmin()) if table.shape[0] else 0
    table = table[:, first:]
    if table.shape[1] == 1:
        return table[:, 0].copy()
    return np.trapezoid(table, axis=1) / (table.shape[1] - 1)


@dataclass(frozen=True)
class SurvivalCurve:
    """Kaplan-Meier estimate of P(T > t) after each observed event time, with Greenwood's variance."""

    times: Floats
    survival: Floats
    variance: Floats
    at_risk: NDArray[np.int64]
    events: NDArray[np.int64]

    def median(self) -> float | None:
        """First time at which the estimate is at most one half; None if it never is."""
        reached = np.flatnonzero(self.survival <= 0.5)
        return float(self.times[reached[0]]) if reached.size else None

    def at(self, time: float) -> float:
        """P(T > time)."""
        index = int(np.searchsorted(self.times, time, side="right")) - 1
        return 1.0 if index < 0 else float(self.survival[index])

    def log_log_interval(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """Interval at each event time on the log(-log) scale, inside [0, 1] by construction; NaN where S is 0 or 1."""
        z = special.ndtri((1 + confidence) / 2)
        inside = (self.survival > 0) & (self.survival < 1)
        low, high = np.full(self.times.shape, np.nan), np.full(self.times.shape, np.nan)
        s = self.survival[inside]
        error = np.sqrt(self.variance[inside]) / (s * -np.log(s))
        low[inside], high[inside] = s ** np.exp(z * error), s ** np.exp(-z * error)
        return low, high


def kaplan_meier(times: ArrayLike, observed: ArrayLike) -> SurvivalCurve:
    """Kaplan-Meier estimate.

    Args:
        times: time of the event, or of censoring; shape `(n,)`.
        observed: whether the event was seen, shape `(n,)`.

    Source: Kaplan and Meier (1958), JASA 53; Greenwood (1926) for the variance.
    """
    t, seen = np.asarray(times, dtype=np.float64), np.asarray(observed, dtype=bool)
    if t.shape != seen.shape or t.ndim != 1:
        raise ValueError(f"times and observed must be one-dimensional and equally long, not {t.shape} and {seen.shape}")
    moments, events = np.unique(t[seen], return_counts=True)
    at_risk = t.size - np.searchsorted(np.sort(t), moments, side="left")
    survival: Floats = np.cumprod(1 - events / at_risk, dtype=np.float64)
    left = at_risk - events
    # Where everybody at risk had the event the estimate is 0 and so is its variance.
    terms = np.divide(events, at_risk * left, out=np.zeros(moments.size), where=left > 0)
    variance: Floats = np.square(survival) * np.cumsum(terms, dtype=np.float64)
    return SurvivalCurve(moments, survival, variance, at_risk, events)


def restricted_mean(curve: SurvivalCurve, horizon: float) -> tuple[float, float]:
    """Mean of min(T, horizon), the area under the survival curve up to the horizon, and its standard error.

    Source: Irwin (1949); variance from Klein and Moeschberger, Survival analysis, section 4.5.
    """
    inside = curve.times < horizon
    knots = np.concatenate([[0.0], curve.times[inside], [horizon]])
    steps = np.concatenate([[1.0], curve.survival[inside]])
    areas = np.diff(knots) * steps
    to_the_right = np.cumsum(areas[::-1])[::-1][1:]
    events, at_risk = curve.events[inside], curve.at_risk[inside]
    left = at_risk - events
    terms = np.divide(events, at_risk * left, out=np.zeros(events.size), where=left > 0)
    return float(areas.sum()), float(np.sqrt(np.sum(to_the_right**2 * terms)))
