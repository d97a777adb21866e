"""Compare arms over shared seeds: summaries, paired tests, a ranking with ties, effects of the axes, one sentence."""

import json
from collections.abc import Sequence

import numpy as np

from services.science.comparison.arms import (
    ArmData,
    arm_data,
    arm_result,
    convergence_threshold,
    number,
)
from services.science.comparison.input import ComparisonInput
from services.science.comparison.models import Comparison, EffectRow, Effects, RankRow
from services.science.comparison.pairs import PairTests
from services.science.comparison.verdict import Question, verdict_sentence
from services.science.statistics.directions import metric_direction
from services.science.statistics.effects import two_way_effects
from services.science.statistics.ranking import Standing, shared_ranks, standing_order

OPTIMISM = (
    "at=best takes each trial's best epoch by the very validation rows that it is then measured on, which flatters "
    "every arm, and noisy ones most; ask at=final for what to expect on new rows"
)


def compare(request: ComparisonInput) -> Comparison:
    """Answer which arm is best at one metric, and how sure that is.

    `arms` come in the order given; `pairs` and `ranking` from best to worst. Pure and deterministic: equal input gives
    equal output, on any machine with the same NumPy and SciPy up to rounding.

    Raises:
        ValueError: a metric without a known direction.
    """
    direction = metric_direction(request.metric)
    lower = direction == "lower"
    data = [arm_data(arm, request.at, lower) for arm in request.arms]
    threshold = request.threshold if request.threshold is not None else convergence_threshold(data, lower)
    arms = [arm_result(arm, request, lower, threshold) for arm in data]

    standings = [Standing(arm.key, arm.mean, arm.diverged, arm.n) for arm in arms]
    order = standing_order(standings, lower)
    ordered = [standings[index] for index in order]
    tests = PairTests([data[index] for index in order], round(1 - request.confidence, 12), lower, request.seed)
    ranks = shared_ranks(ordered, range(len(order)), tests.worse)
    ranking = [
        RankRow(
            rank=rank,
            key=arms[index].key,
            arm=arms[index].arm,
            label=arms[index].label,
            mean=arms[index].mean,
            diverged=arms[index].diverged,
        )
        for rank, index in zip(ranks, order, strict=True)
    ]
    pairs = tests.results(request.confidence, request.ci_method)
    return Comparison(
        metric=request.metric,
        direction=direction,
        at=request.at,
        confidence=request.confidence,
        arms=arms,
        pairs=pairs,
        pairs_total=tests.total,
        pairs_tested=tests.family,
        ranking=ranking,
        effects=_effects(data),
        verdict=verdict_sentence(
            Question(request.metric, direction, request.at, request.confidence, tests.family, request.unlike),
            arms,
            ranking,
            pairs,
        ),
        warnings=[*request.warnings, *([OPTIMISM] if request.at == "best" else [])],
    )


def _effects(arms: Sequence[ArmData]) -> Effects | None:
    """F tests of the axes; None where no axis has two levels among the finished trials."""
    names = list(dict.fromkeys(name for arm in arms for name in arm.source.arm))
    values = np.concatenate([arm.values for arm in arms]) if arms else np.empty(0)
    axes: dict[str, list[object]] = {}
    for name in names:
        levels = [json.dumps(arm.source.arm.get(name), sort_keys=True, default=str) for arm in arms]
        axes[name] = [level for level, arm in zip(levels, arms, strict=True) for _ in range(arm.values.size)]
    axes = {name: levels for name, levels in axes.items() if len(set(levels)) > 1}
    if not axes:
        return None
    seeds = [int(seed) for arm in arms for seed in arm.seeds]
    # Large numbers common to all values would only cost digits.
    table = two_way_effects(values - values.mean(), axes, seeds)
    return Effects(
        method="least squares F tests, type II sums of squares, seed as block",
        n=table.n,
        excluded=sum(arm.diverged + arm.missing for arm in arms),
        residual_df=table.residual_df,
        residual_mean_square=number(table.residual_sum_squares / table.residual_df) if table.residual_df > 0 else None,
        terms=[
            EffectRow(
                axes=list(effect.axes),
                df=effect.df,
                sum_squares=effect.sum_squares,
                f=number(effect.f),
                p_value=number(effect.p_value),
                partial_eta_squared=number(effect.partial_eta_squared),
            )
            for effect in table.effects
        ],
    )
