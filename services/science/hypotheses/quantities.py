"""The numbers behind a claim: one value per arm and seed of every quantity."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.science.comparison.arms import values_at
from services.science.hypotheses.ast import Quantity
from services.science.hypotheses.metrics import lower_is_better, training_metric
from services.science.results import ExperimentResults, Outcome
from services.science.statistics.convergence import epochs_to_threshold
from services.science.statistics.generalization import generalization_gap
from services.science.statistics.stability import jumpiness

Floats = NDArray[np.float64]


def quantity_values(quantity: Quantity, arms: Sequence[int], data: ExperimentResults) -> Floats:
    """A quantity at every seed of the given arms, ``[len(arms), seeds]``.

    NaN where there is no result. A diverged trial is worse than any number: plus infinity where lower is better, minus
    infinity where higher is; `diverged` counts it as 1, `epochs_to` as never there, and `spread` leaves it out.
    """
    index = list(arms)
    finished = data.having(Outcome.FINISHED)[index]
    diverged = data.having(Outcome.DIVERGED)[index]
    if quantity.statistic == "diverged":
        return np.where(diverged, 1.0, np.where(finished, 0.0, np.nan))
    lower = lower_is_better(quantity.metric)
    curves = data.table(quantity.metric, index)
    numbers = np.full(finished.shape, np.nan)
    if quantity.statistic == "epochs_to":
        times = epochs_to_threshold(curves[finished], quantity.threshold, lower_is_better=not quantity.at_least)
        # Not there by the last epoch means at the next one at the earliest.
        numbers[finished] = np.where(np.isnan(times), data.epochs + 1.0, times)
        numbers[diverged] = data.epochs + 1.0
        return numbers
    runs = curves[finished]
    if quantity.statistic == "jumpiness":
        numbers[finished] = jumpiness(runs, lower).excess_variation if runs.size else np.empty(0)
    elif quantity.statistic == "gap":
        training = data.table(training_metric(quantity.metric), index)[finished]
        # How much worse validation is, whichever way the metric runs.
        gaps = generalization_gap(runs, training) * (1.0 if lower else -1.0)
        numbers[finished] = _gap_at(gaps, runs, quantity, lower)
    else:
        numbers[finished] = _at(runs, quantity, lower)
        if quantity.statistic == "spread":
            return np.array([spread_pseudo_values(row) for row in numbers]).reshape(numbers.shape)
    worst = np.inf if lower or quantity.statistic in ("gap", "jumpiness") else -np.inf
    numbers[diverged] = worst
    return numbers


def smaller_is_better(quantity: Quantity) -> bool:
    """Which way a quantity is better."""
    return quantity.statistic != "metric" or lower_is_better(quantity.metric)


def spread_pseudo_values(values: Floats) -> Floats:
    """Jackknife pseudo-values of the standard deviation between seeds (ddof 1): one number per seed.

    Their mean is the jackknife estimate of the deviation, and their scatter says how sure it is; NaN stays NaN, and
    fewer than three values give none.

    Source: Miller (1968), Jackknifing variances, Annals of Mathematical Statistics 39.
    """
    pseudo_values = np.full(values.shape, np.nan)
    there = np.isfinite(values)
    x = values[there]
    n = x.size
    if n < 3:
        return pseudo_values
    left_out = np.array([np.delete(x, i).std(ddof=1) for i in range(n)])
    pseudo_values[there] = n * x.std(ddof=1) - (n - 1) * left_out
    return pseudo_values


def _at(runs: Floats, quantity: Quantity, lower: bool) -> Floats:
    """One number per run at the quantity's point."""
    if isinstance(quantity.at, int):
        return runs[:, quantity.at]
    return values_at(runs, quantity.at, lower)


def _gap_at(gaps: Floats, runs: Floats, quantity: Quantity, lower: bool) -> Floats:
    """The gap at the quantity's point; at `best`, where validation is best."""
    if quantity.at != "best":
        return _at(gaps, quantity, lower=True)
    badness = np.where(np.isnan(runs), np.inf, runs if lower else -runs)
    best = np.argmin(badness, axis=1) if runs.size else np.empty(0, dtype=np.intp)
    return np.take_along_axis(gaps, best[:, None], axis=1)[:, 0] if runs.size else np.empty(0)
