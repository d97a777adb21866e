"""What a comparison answers: JSON-ready values without NaN; null says that the data cannot give a number."""

from typing import Any, Literal

from pydantic import Field

from services.science.base import Strict
from services.science.statistics.directions import Direction


class Bounds(Strict):
    """A confidence interval; both bounds are null with fewer than two values."""

    low: float | None
    high: float | None
    method: str
    confidence: float


class Summary(Strict):
    """Location and spread of one number per finished trial; `std` has ddof 1 and is null with one value."""

    n: int
    mean: float | None
    std: float | None
    median: float | None
    ci: Bounds


class BestSummary(Summary):
    """The best epoch of each trial: a best of noisy values flatters, so read it beside the final one."""

    epoch_median: float | None


class Accuracy(Strict):
    """The metric after the last epoch and at each trial's best epoch; `best` is null where no curve is known."""

    final: Summary
    best: BestSummary | None


class Convergence(Strict):
    """Epochs to a threshold. A trial that never reaches it, or diverges, is censored at the horizon and kept."""

    threshold: float
    rule: str
    horizon: int
    n: int
    reached: int
    censored: int
    median_epochs: float | None = Field(description="Kaplan-Meier median; null if fewer than half reach the threshold")
    restricted_mean: float | None = Field(description="mean of min(epochs to threshold, horizon)")
    restricted_mean_ci: Bounds = Field(
        description="t interval, cut at 0 and at the horizon: no mean of such times lies beyond, so that the cut takes "
        "nothing from how often it is right"
    )
    area_under_curve: Summary


class Stability(Strict):
    """Spread between seeds, roughness from epoch to epoch (means over the finished trials), and divergence."""

    std: float | None
    std_ci: Bounds
    excess_variation: float | None
    detrended_sd: float | None
    max_drawdown: float | None
    diverged_share: float | None
    diverged_share_ci: Bounds


class Generalization(Strict):
    """Validation minus training of the same metric at the chosen point (final or best epoch, or mean over epochs)."""

    validation_metric: str
    training_metric: str
    gap: Summary


class Environment(Strict):
    """Energy of one trial on average, and of all trials of the arm whose energy is known."""

    n: int
    joules_per_trial: float | None
    joules_total: float | None
    grams_co2e_per_trial: float | None
    grams_co2e_total: float | None
    method: Literal["measured", "estimated"]
    share_rule: str


class ArmResult(Strict):
    """One arm. `n` counts finished and diverged trials; the means are over the finished ones only."""

    key: str
    arm: dict[str, Any]
    label: str
    n: int
    diverged: int
    missing: int
    mean: float | None
    std: float | None
    median: float | None
    iqm: float | None
    ci: Bounds
    accuracy: Accuracy
    convergence: Convergence | None
    stability: Stability
    generalization: Generalization | None
    environment: Environment | None


class ArmName(Strict):
    """Which arm."""

    key: str
    label: str


class Difference(Strict):
    """Mean of a minus b over their common seeds, with its unadjusted interval; `ci.method` says how that was made."""

    mean: float | None
    ci: Bounds


class PairResult(Strict):
    """Two arms on their common seeds; a stands before b in the ranking's order."""

    a: ArmName
    b: ArmName
    n: int = Field(description="seeds that both arms finished")
    difference: Difference
    p_value: float | None = Field(description="two-sided sign-flip permutation test")
    p_holm: float | None = Field(description="adjusted for every pair of arms, also for those not listed")
    method: str
    min_attainable_p: float | None = Field(description="smallest p that so many seeds can give")
    can_reach_alpha: bool = Field(description="whether that p survives the adjustment at 1 - confidence")
    distinguishable: bool = Field(description="p_holm is at most 1 - confidence")
    effect_size: float | None = Field(description="d_z: mean difference over the sd of the differences")
    effect_size_corrected: float | None = Field(description="the same with Hedges's small-sample factor")
    probability_of_improvement: float | None = Field(description="share of seeds on which a is better, ties one half")
    seeds_needed: int | None = Field(
        description="seeds at which a difference of this effect size would be found with 80 % power after adjustment: "
        "enough for the paired t test and for the permutation test to reach its level; null if unknown or too many"
    )
    diverged_p_value: float | None = Field(description="Fisher's exact test of the two shares of diverged trials")
    diverged_p_holm: float | None = Field(
        description="adjusted for every pair of arms with results; a family of its own, beside that of p_holm"
    )


class RankRow(Strict):
    """One place in the ranking; the rule is told in `services.science.statistics.ranking`."""

    rank: int | None
    key: str
    arm: dict[str, Any]
    label: str
    mean: float | None
    diverged: int


class EffectRow(Strict):
    """One main effect (one axis) or interaction (two)."""

    axes: list[str]
    df: int
    sum_squares: float
    f: float | None
    p_value: float | None
    partial_eta_squared: float | None


class Effects(Strict):
    """F tests of the axes over the finished trials, with the seed as block (type II sums of squares)."""

    method: str
    n: int
    excluded: int = Field(description="diverged and missing trials, which the model cannot use")
    residual_df: int
    residual_mean_square: float | None
    terms: list[EffectRow]


class Comparison(Strict):
    """The whole answer."""

    metric: str
    direction: Direction
    at: Literal["final", "best", "auc"]
    confidence: float
    arms: list[ArmResult]
    pairs: list[PairResult]
    pairs_total: int = Field(description="pairs of arms there are; above 435 only those with the best arm are listed")
    pairs_tested: int = Field(description="pairs of arms with a common seed: so many tests p_holm is adjusted for")
    ranking: list[RankRow]
    effects: Effects | None
    verdict: str
    warnings: list[str] = Field(
        description="what makes the answer less than it seems: experiments that differ in more than their arms, a best "
        "epoch that flatters"
    )
