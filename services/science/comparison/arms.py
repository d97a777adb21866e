"""One arm of a comparison: its summary and the five axes a study of initializers is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.science.comparison.input import ArmInput, At, ComparisonInput
from services.science.comparison.models import (
    Accuracy,
    ArmResult,
    BestSummary,
    Bounds,
    Convergence,
    Environment,
    Generalization,
    Stability,
    Summary,
)
from services.science.results import Outcome
from services.science.statistics.convergence import area_under_curve, epochs_to_threshold, kaplan_meier
from services.science.statistics.generalization import generalization_gap
from services.science.statistics.intervals import Interval, bca_interval, t_interval, wilson_interval
from services.science.statistics.iqm import iqm
from services.science.statistics.stability import jumpiness, sd_interval
from services.science.streams import Purpose, stream

Floats = NDArray[np.float64]

TOO_LARGE = 1e100
"""Values above this are divergence in all but name: float32 cannot hold them, nor float64 their squares' sums."""
THRESHOLD_SHARE = 0.9
THRESHOLD_RULE = (
    "nine tenths of the way from the untrained network (median of all finished trials) to the best arm's mean final "
    "value"
)


@dataclass(frozen=True, eq=False)
class ArmData:
    """An arm's numbers at the chosen point. Arrays hold the finished trials only, in the order of `seeds`."""

    source: ArmInput
    seeds: NDArray[np.int64]
    values: Floats
    final: Floats
    curve: Floats | None
    train_curve: Floats | None
    diverged: int
    missing: int

    @property
    def results(self) -> int:
        """Trials with an outcome: finished and diverged."""
        return self.values.size + self.diverged


def arm_data(arm: ArmInput, at: At, lower_is_better: bool) -> ArmData:
    """Take the values at `at`: without a finite one there a finished trial is missing, beyond `TOO_LARGE` diverged."""
    finished = np.array([outcome == Outcome.FINISHED for outcome in arm.outcomes], dtype=bool)
    values = np.full(len(arm.seeds), np.nan)
    if arm.values is not None:
        values = np.asarray(arm.values, dtype=np.float64)
    elif arm.curve is not None:
        # Only finished rows are looked at: those of other trials may hold no number at all.
        values[finished] = values_at(arm.curve[finished], at, lower_is_better)
    too_large = finished & np.isfinite(values) & (np.abs(values) > TOO_LARGE)
    usable = finished & np.isfinite(values) & ~too_large
    diverged = sum(outcome == Outcome.DIVERGED for outcome in arm.outcomes) + int(too_large.sum())
    curve = None if arm.curve is None else np.asarray(arm.curve, dtype=np.float64)[usable]
    return ArmData(
        source=arm,
        seeds=np.asarray(arm.seeds, dtype=np.int64)[usable],
        values=values[usable],
        final=values[usable] if curve is None else values_at(curve, "final", lower_is_better),
        curve=curve,
        train_curve=None if arm.train_curve is None else np.asarray(arm.train_curve, dtype=np.float64)[usable],
        diverged=diverged,
        missing=len(arm.seeds) - diverged - int(usable.sum()),
    )


def values_at(curve: Floats, at: At, lower_is_better: bool) -> Floats:
    """One number per row of `(trials, epochs + 1)`: last epoch, best epoch, or mean level over the epochs."""
    if curve.shape[0] == 0:
        return np.empty(0)
    if at == "auc":
        return area_under_curve(curve)
    if at == "final":
        return curve[:, -1].copy()
    return np.take_along_axis(curve, best_epochs(curve, lower_is_better)[:, None], axis=1)[:, 0]


def best_epochs(curve: Floats, lower_is_better: bool) -> NDArray[np.intp]:
    """Column of each row's best value, the first of equals; NaN is never best."""
    badness = np.where(np.isnan(curve), np.inf, curve if lower_is_better else -curve)
    return np.argmin(badness, axis=1)


def convergence_threshold(arms: Sequence[ArmData], lower_is_better: bool) -> float | None:
    """The default threshold (`THRESHOLD_RULE`); None without curves or when no arm ends better than it began."""
    with_curves = [arm for arm in arms if arm.curve is not None and arm.curve.size]
    starts = [arm.curve[:, 0] for arm in with_curves if arm.curve is not None]
    start = np.concatenate(starts) if starts else np.empty(0)
    start = start[np.isfinite(start)]
    finals = [float(arm.final.mean()) for arm in with_curves]
    if start.size == 0:
        return None
    begin, goal = float(np.median(start)), min(finals) if lower_is_better else max(finals)
    if not (goal < begin if lower_is_better else goal > begin):
        return None
    return begin + THRESHOLD_SHARE * (goal - begin)


def arm_result(arm: ArmData, request: ComparisonInput, lower_is_better: bool, threshold: float | None) -> ArmResult:
    """Everything about one arm."""
    confidence = request.confidence
    rule = "given" if request.threshold is not None else THRESHOLD_RULE
    center = summary(arm.values, confidence)
    if request.ci_method == "bca":
        rng = stream(request.seed, Purpose.RESAMPLING, 1)
        center = center.model_copy(update={"ci": bounds(bca_interval(arm.values, sample_mean, confidence, rng))})
    return ArmResult(
        key=arm.source.key,
        arm=dict(arm.source.arm),
        label=arm.source.label,
        n=arm.results,
        diverged=arm.diverged,
        missing=arm.missing,
        mean=center.mean,
        std=center.std,
        median=center.median,
        iqm=number(iqm(arm.values)),
        ci=center.ci,
        accuracy=Accuracy(final=summary(arm.final, confidence), best=_best(arm, confidence, lower_is_better)),
        convergence=None if threshold is None else _convergence(arm, threshold, rule, confidence, lower_is_better),
        stability=_stability(arm, confidence, lower_is_better),
        generalization=_generalization(arm, request, lower_is_better),
        environment=_environment(arm.source),
    )


def summary(values: Floats, confidence: float) -> Summary:
    """Mean, spread, median and t interval of the finite values."""
    x = values[np.isfinite(values)]
    return Summary(
        n=x.size,
        mean=number(x.mean()) if x.size else None,
        std=number(x.std(ddof=1)) if x.size > 1 else None,
        median=number(np.median(x)) if x.size else None,
        ci=bounds(t_interval(x, confidence)),
    )


def bounds(interval: Interval) -> Bounds:
    """An interval as it is answered."""
    return Bounds(
        low=number(interval.low),
        high=number(interval.high),
        method=interval.method,
        confidence=interval.confidence,
    )


def sample_mean(samples: Floats) -> Floats:
    """The mean of each sample `(..., n)`."""
    return samples.mean(axis=-1)


def number(value: float | np.floating | None) -> float | None:
    """A finite float, or None."""
    return None if value is None or not np.isfinite(value) else float(value)


def _best(arm: ArmData, confidence: float, lower_is_better: bool) -> BestSummary | None:
    if arm.curve is None:
        return None
    best = summary(values_at(arm.curve, "best", lower_is_better), confidence)
    epochs = best_epochs(arm.curve, lower_is_better) if arm.curve.size else np.empty(0)
    return BestSummary(**best.model_dump(), epoch_median=float(np.median(epochs)) if epochs.size else None)


def _convergence(
    arm: ArmData, threshold: float, rule: str, confidence: float, lower_is_better: bool
) -> Convergence | None:
    if arm.curve is None or arm.results == 0:
        return None
    horizon = arm.curve.shape[1] - 1
    # A diverged trial will never reach the threshold, so it waits until the end like one that is too slow.
    times = np.concatenate([epochs_to_threshold(arm.curve, threshold, lower_is_better), np.full(arm.diverged, np.nan)])
    reached = np.isfinite(times)
    waited = np.where(reached, times, horizon)
    # Nobody is censored before the horizon, so the restricted mean is an ordinary mean and its t interval applies.
    restricted = bounds(t_interval(waited, confidence))
    # Its ends may leave what times can be; their true mean cannot.
    low, high = (None if end is None else min(max(end, 0.0), horizon) for end in (restricted.low, restricted.high))
    return Convergence(
        threshold=threshold,
        rule=rule,
        horizon=horizon,
        n=times.size,
        reached=int(reached.sum()),
        censored=int((~reached).sum()),
        median_epochs=kaplan_meier(waited, reached).median(),
        restricted_mean=number(waited.mean()),
        restricted_mean_ci=restricted.model_copy(update={"low": low, "high": high}),
        area_under_curve=summary(area_under_curve(arm.curve) if arm.curve.size else np.empty(0), confidence),
    )


def _stability(arm: ArmData, confidence: float, lower_is_better: bool) -> Stability:
    rough = None if arm.curve is None or not arm.curve.size else jumpiness(arm.curve, lower_is_better)
    return Stability(
        std=number(arm.values.std(ddof=1)) if arm.values.size > 1 else None,
        std_ci=bounds(sd_interval(arm.values, confidence)),
        excess_variation=None if rough is None else number(rough.excess_variation.mean()),
        detrended_sd=None if rough is None else number(rough.detrended_sd.mean()),
        max_drawdown=None if rough is None else number(rough.max_drawdown.mean()),
        diverged_share=arm.diverged / arm.results if arm.results else None,
        diverged_share_ci=bounds(wilson_interval(arm.diverged, arm.results, confidence)),
    )


def _generalization(arm: ArmData, request: ComparisonInput, lower_is_better: bool) -> Generalization | None:
    if arm.curve is None or arm.train_curve is None or not request.metric.startswith("val_"):
        return None
    gaps = generalization_gap(arm.curve, arm.train_curve)
    if request.at == "best" and gaps.size:
        at_point = np.take_along_axis(gaps, best_epochs(arm.curve, lower_is_better)[:, None], axis=1)[:, 0]
    else:
        at_point = values_at(gaps, request.at, lower_is_better)
    return Generalization(
        validation_metric=request.metric,
        training_metric=request.metric.replace("val_", "train_", 1),
        gap=summary(at_point, request.confidence),
    )


def _environment(arm: ArmInput) -> Environment | None:
    if arm.energy is None:
        return None
    joules = arm.energy.joules[np.isfinite(arm.energy.joules)]
    grams = np.empty(0) if arm.energy.grams_co2e is None else arm.energy.grams_co2e
    grams = grams[np.isfinite(grams)]
    return Environment(
        n=joules.size,
        joules_per_trial=number(joules.mean()) if joules.size else None,
        joules_total=number(joules.sum()) if joules.size else None,
        grams_co2e_per_trial=number(grams.mean()) if grams.size else None,
        grams_co2e_total=number(grams.sum()) if grams.size else None,
        method=arm.energy.method,
        share_rule=arm.energy.share_rule,
    )
