"""`compare` as a whole: numbers against SciPy, edge cases, JSON, divergence, order, size."""

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.science.comparison.arms import THRESHOLD_RULE
from services.science.comparison.compare import compare
from services.science.comparison.input import ArmInput, ComparisonInput, EnergyInput
from services.science.comparison.models import ArmResult, Comparison
from services.science.results import Outcome
from services.science.statistics.multiplicity import holm
from services.science.streams import Purpose, stream

ARM_FIELDS = {
    *("key", "arm", "label", "n", "diverged", "missing", "mean", "std", "median", "iqm", "ci"),
    *("accuracy", "convergence", "stability", "generalization", "environment"),
}
PAIR_FIELDS = {
    *("a", "b", "n", "difference", "p_value", "p_holm", "method", "min_attainable_p", "can_reach_alpha"),
    *("effect_size", "probability_of_improvement", "seeds_needed"),
}


def arms_of(values: np.ndarray) -> list[ArmInput]:
    return [ArmInput.of(f"arm{i}", dict(enumerate(row.tolist())), {"x": i}) for i, row in enumerate(values)]


def asked(arms: list[ArmInput], metric: str = "val_loss", **fields: object) -> Comparison:
    answer = compare(ComparisonInput(metric, arms, **fields))  # type: ignore[arg-type]
    assert json.loads(answer.model_dump_json())["metric"] == metric
    return answer


def noise(*shape: int, index: int = 0) -> np.ndarray:
    return stream(3, Purpose.RESAMPLING, index).normal(size=shape)


def test_every_number_against_scipy() -> None:
    values = noise(4, 9) + np.arange(4)[:, None] * 0.7
    answer = asked(arms_of(values), confidence=0.9)
    for arm, row in zip(answer.arms, values, strict=True):
        low, high = stats.t.interval(0.9, 8, row.mean(), stats.sem(row))
        assert (arm.mean, arm.std, arm.median) == pytest.approx((row.mean(), row.std(ddof=1), np.median(row)))
        assert arm.iqm == pytest.approx(stats.trim_mean(row, 0.25))
        assert (arm.ci.low, arm.ci.high) == pytest.approx((low, high))
        assert (arm.ci.method, arm.ci.confidence) == ("t", 0.9)
        assert set(arm.model_dump()) == ARM_FIELDS
    p: list[float] = []
    for pair in answer.pairs:
        a, b = values[int(pair.a.key[-1])], values[int(pair.b.key[-1])]
        p.append(float(stats.permutation_test((a - b,), np.mean, permutation_type="samples", n_resamples=2**20).pvalue))
        theirs = stats.ttest_rel(a, b)
        assert pair.difference.mean == pytest.approx((a - b).mean())
        expected = theirs.confidence_interval(0.9)
        assert (pair.difference.ci.low, pair.difference.ci.high) == pytest.approx((expected.low, expected.high))
        assert pair.p_value == pytest.approx(p[-1], abs=1e-12)
        assert pair.effect_size == pytest.approx(theirs.statistic / 3)
        assert pair.probability_of_improvement == np.mean(a < b)
        assert set(pair.model_dump()) >= PAIR_FIELDS
    assert [pair.p_holm for pair in answer.pairs] == pytest.approx(holm(p).tolist(), abs=1e-12)
    assert len(answer.pairs) == answer.pairs_total == answer.pairs_tested == 6
    assert answer.effects is not None
    assert [term.axes for term in answer.effects.terms] == [["x"]]


def test_the_five_seed_oracle() -> None:
    a, b = (0.601, 0.607, 0.598, 0.612, 0.604), (0.571, 0.590, 0.560, 0.585, 0.577)
    answer = asked(arms_of(np.array([b, a])), "val_accuracy")
    pair = answer.pairs[0]
    assert (pair.a.key, pair.b.key) == ("arm1", "arm0")
    assert pair.difference.mean == pytest.approx(0.0278)
    assert (pair.p_value, pair.p_holm, pair.can_reach_alpha, pair.distinguishable) == (0.0625, 0.0625, False, False)
    assert pair.effect_size == pytest.approx(3.69193, abs=1e-5)
    assert pair.seeds_needed == 6
    assert [row.rank for row in answer.ranking] == [1, 1]


@pytest.mark.parametrize(("metric", "best"), [("val_loss", "arm0"), ("val_mae", "arm0"), ("val_r2", "arm2")])
def test_direction_decides_the_order(metric: str, best: str) -> None:
    answer = asked(arms_of(np.arange(3)[:, None] + 0.01 * noise(3, 8)), metric)
    assert answer.ranking[0].key == best
    assert answer.pairs[0].a.key == best
    assert [row.rank for row in answer.ranking] == [1, 2, 3]
    assert answer.direction == ("higher" if metric == "val_r2" else "lower")


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="accuracy, error, loss"):
        asked([], "val_beauty")
    with pytest.raises(ValueError, match="confidence"):
        asked([], confidence=1.0)
    with pytest.raises(ValueError, match="key of its own"):
        asked([ArmInput.of("a", {0: 1.0}), ArmInput.of("a", {0: 2.0})])


def test_unequal_seeds_pair_on_the_common_ones() -> None:
    a = ArmInput.of("a", {0: 1.0, 1: 2.0, 2: 4.0, 3: "missing", 5: 9.0})
    b = ArmInput.of("b", {0: 1.5, 2: 4.75, 3: 7.0, 5: "diverged", 6: 1.0})
    pair = asked([a, b]).pairs[0]
    assert pair.n == 2
    assert pair.difference.mean == pytest.approx(-(0.5 + 0.75) / 2)


def test_diverged_trials_count_but_never_in_a_mean() -> None:
    arm = asked([ArmInput.of("a", {0: 1.0, 1: "diverged", 2: 3.0, 3: "missing"})]).arms[0]
    assert (arm.n, arm.diverged, arm.missing, arm.mean) == (3, 1, 1, 2.0)
    assert arm.stability.diverged_share == pytest.approx(1 / 3)


def test_a_finished_trial_without_a_number_is_missing() -> None:
    arm = asked([ArmInput.of("a", {0: 1.0, 1: float("nan"), 2: float("inf")})]).arms[0]
    assert (arm.n, arm.missing, arm.mean) == (1, 2, 1.0)


def test_a_value_that_cannot_be_squared_is_divergence() -> None:
    arm = asked([ArmInput.of("a", {0: 1.0, 1: 1e200, 2: 1e90})]).arms[0]
    assert (arm.n, arm.diverged, arm.missing) == (3, 1, 0)


def test_one_of_everything() -> None:
    for arms in ([], [ArmInput.of("a", {0: 1.0})], [ArmInput.of("a", {})], [ArmInput.of("a", {0: "diverged"})]):
        answer = asked(arms)
        assert answer.pairs == []
        assert answer.effects is None
        assert len(answer.ranking) == len(arms)


@given(
    st.lists(
        st.lists(
            st.one_of(st.just("diverged"), st.just("missing"), st.floats(allow_nan=False), st.floats(-1, 1)),
            min_size=6,
            max_size=6,
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["val_loss", "val_accuracy"]),
)
@settings(max_examples=200, deadline=None)
def test_anything_gives_valid_json_and_a_fair_ranking(table: list[list[float | str]], metric: str) -> None:
    arms = [ArmInput.of(f"a{i}", dict(enumerate(row)), {"x": i % 2, "y": i // 2}) for i, row in enumerate(table)]  # type: ignore[arg-type]
    answer = asked(arms, metric)
    assert answer == asked(arms, metric)
    by_key = {arm.key: arm for arm in answer.arms}
    rows = [(row.rank, by_key[row.key]) for row in answer.ranking]
    for (rank, arm), (next_rank, after) in pairwise(rows):
        if rank is None or next_rank is None:
            assert next_rank is None
            continue
        assert rank <= next_rank
        assert arm.diverged / arm.n <= after.diverged / after.n
    for pair in answer.pairs:
        assert pair.p_holm is None or pair.p_value is None or pair.p_holm >= pair.p_value
        assert pair.distinguishable <= pair.can_reach_alpha


def test_a_grid_half_of_which_diverged_is_valid_json() -> None:
    outcomes = noise(6, 10, index=1)
    arms = [
        ArmInput.of(
            f"a{i}", {seed: "diverged" if value > 0 else float(value) for seed, value in enumerate(row)}, {"x": i}
        )
        for i, row in enumerate(outcomes)
    ]
    answer = asked(arms)
    assert sum(arm.diverged for arm in answer.arms) == int(np.sum(outcomes > 0))
    assert "NaN" not in answer.model_dump_json()


def curve_arm(key: str, curve: np.ndarray, outcomes: list[Outcome] | None = None, **fields: object) -> ArmInput:
    seeds = range(curve.shape[0])
    return ArmInput(key, key, {"x": key}, seeds, outcomes or [Outcome.FINISHED] * len(seeds), curve=curve, **fields)  # type: ignore[arg-type]


def test_curves_give_final_best_and_auc() -> None:
    curve = np.array([[4.0, 1.0, 2.0], [4.0, 3.0, 2.5]])
    final, best, auc = (asked([curve_arm("a", curve)], at=at).arms[0] for at in ("final", "best", "auc"))
    assert final.mean == pytest.approx(2.25)
    assert best.mean == pytest.approx(1.75)
    assert auc.mean == pytest.approx(np.mean([2.0, 3.125]))
    for arm in (final, best, auc):
        assert arm.accuracy.final.mean == pytest.approx(2.25)
        assert arm.accuracy.best is not None
        assert arm.accuracy.best.mean == pytest.approx(1.75)
        assert arm.accuracy.best.epoch_median == 1.5


def test_convergence_keeps_censored_and_diverged_trials() -> None:
    curve = np.array([[1.0, 0.5, 0.1, 0.1], [1.0, 0.9, 0.5, 0.1], [1.0, 0.9, 0.8, 0.7], [1.0, 0.1, np.nan, np.nan]])
    outcomes = [Outcome.FINISHED] * 3 + [Outcome.DIVERGED]
    one = asked([curve_arm("a", curve, outcomes)], threshold=0.5).arms[0].convergence
    assert one is not None
    assert (one.n, one.reached, one.censored, one.horizon, one.rule) == (
        4,
        2,
        2,
        3,
        "given",
    )
    assert one.restricted_mean == pytest.approx((1 + 2 + 3 + 3) / 4)
    assert one.median_epochs == 2


def test_the_interval_of_a_restricted_mean_stays_within_what_it_can_be() -> None:
    quick, slow = [1.0, 0.1, 0.1, 0.1, 0.1, 0.1], [1.0, 0.9, 0.9, 0.9, 0.9, 0.9]
    for rows in ([slow] * 4 + [[1.0, 0.9, 0.9, 0.9, 0.1, 0.1]], [quick] * 4 + [slow], [[0.1] * 6, slow]):
        one = asked([curve_arm("a", np.array(rows))], threshold=0.5).arms[0].convergence
        assert one is not None
        bounds = one.restricted_mean_ci
        assert one.restricted_mean is not None
        assert bounds.low is not None
        assert bounds.high is not None
        assert 0 <= bounds.low <= one.restricted_mean <= bounds.high <= one.horizon


def test_the_best_epoch_says_that_it_flatters() -> None:
    curve = np.array([[4.0, 1.0, 2.0], [4.0, 3.0, 2.5]])
    warnings = {at: asked([curve_arm("a", curve)], at=at).warnings for at in ("final", "best", "auc")}
    assert (warnings["final"], warnings["auc"]) == ([], [])
    assert "flatters" in warnings["best"][0]


def test_the_default_threshold_is_the_same_for_every_arm_and_says_its_rule() -> None:
    quick, slow = np.tile([1.0, 0.2, 0.0], (3, 1)), np.tile([1.0, 0.9, 0.4], (3, 1))
    answer = asked([curve_arm("quick", quick), curve_arm("slow", slow)])
    convergences = [arm.convergence for arm in answer.arms]
    assert all(
        one is not None and one.threshold == pytest.approx(0.1) and one.rule == THRESHOLD_RULE for one in convergences
    )
    assert [one.reached for one in convergences if one] == [3, 0]
    nothing_learned = asked([curve_arm("a", np.tile([1.0, 1.2], (2, 1)))])
    assert nothing_learned.arms[0].convergence is None


def test_generalization_and_environment() -> None:
    curve = np.array([[1.0, 0.5, 0.6], [1.0, 0.7, 0.4]])
    train = np.array([[np.nan, 0.4, 0.3], [np.nan, 0.6, 0.2]])
    energy = EnergyInput(np.array([10.0, 30.0]), np.array([1.0, np.nan]), "measured", "equal shares of a cohort of 2")
    arm = asked([curve_arm("a", curve, train_curve=train, energy=energy)]).arms[0]
    assert arm.generalization is not None
    assert arm.generalization.gap.mean == pytest.approx(np.mean([0.3, 0.2]))
    assert arm.generalization.training_metric == "train_loss"
    assert arm.environment is not None
    assert (arm.environment.joules_per_trial, arm.environment.joules_total) == (20.0, 40.0)
    assert (arm.environment.grams_co2e_per_trial, arm.environment.method) == (1.0, "measured")
    best = asked([curve_arm("a", curve, train_curve=train)], at="best").arms[0]
    assert best.generalization is not None
    assert best.generalization.gap.mean == pytest.approx(np.mean([0.1, 0.2]))
    assert best.environment is None


def test_bca_on_request_is_seeded() -> None:
    arms = arms_of(noise(2, 12))

    def interval(**fields: Any) -> ArmResult:
        return asked(arms, ci_method="bca", **fields).arms[0]

    assert interval().ci.method == "bca"
    assert interval() == interval()
    assert interval().ci != interval(seed=1).ci


def test_bca_on_request_holds_for_the_pairs_too() -> None:
    # Skewed and shifted, so that the bootstrap's corrections and the t interval part.
    values = np.exp(0.6 * noise(3, 25)) + np.arange(3)[:, None]
    answer, plain = asked(arms_of(values), ci_method="bca"), asked(arms_of(values))
    for pair, other in zip(answer.pairs, plain.pairs, strict=True):
        difference = values[int(pair.a.key[-1])] - values[int(pair.b.key[-1])]
        theirs = stats.bootstrap(
            (difference,), np.mean, n_resamples=40_000, method="BCa", rng=stream(9, Purpose.RESAMPLING, 0)
        ).confidence_interval
        # A bound is a quantile of the replicates; its Monte Carlo error is far below a fifth of their spread.
        allowed = 0.2 * difference.std(ddof=1) / 5
        assert (pair.difference.ci.low, pair.difference.ci.high) == pytest.approx(tuple(theirs), abs=allowed)
        assert (pair.difference.ci.method, other.difference.ci.method) == ("bca", "t")
        assert pair.difference.ci != other.difference.ci
        assert (pair.difference.mean, pair.p_value, pair.p_holm) == (other.difference.mean, other.p_value, other.p_holm)
    assert answer.ranking == plain.ranking


def test_the_pairs_bca_is_seeded_and_needs_two_seeds() -> None:
    values = noise(3, 12)
    first = asked(arms_of(values), ci_method="bca").pairs
    assert first == asked(arms_of(values), ci_method="bca").pairs
    assert first[0].difference.ci != asked(arms_of(values), ci_method="bca", seed=1).pairs[0].difference.ci
    # The interval of a pair does not depend on which other arms there are.
    names = {first[0].a.key, first[0].b.key}
    alone = asked([arm for arm in arms_of(values) if arm.key in names], ci_method="bca").pairs[0]
    assert alone.difference == first[0].difference
    single = asked(arms_of(values[:, :1]), ci_method="bca").pairs[0].difference.ci
    assert (single.low, single.high, single.method) == (None, None, "bca")


def test_monte_carlo_above_thirty_seeds_is_seeded() -> None:
    arms = arms_of(noise(3, 32))
    first, other = asked(arms).pairs, asked(arms, seed=1).pairs
    assert {pair.method for pair in first} == {"sign_flip_monte_carlo"}
    assert first == asked(arms).pairs
    assert [pair.p_value for pair in first] != [pair.p_value for pair in other]


def test_effects_find_what_was_put_in() -> None:
    values = noise(3, 4, 6) * 0.1 + np.arange(3)[:, None, None]
    arms = [
        ArmInput.of(
            f"{i}{j}", dict(enumerate(values[i, j].tolist())), {"activation": {"kind": f"a{i}"}, "initializer": j}
        )
        for i in range(3)
        for j in range(4)
    ]
    effects = asked(arms).effects
    assert effects is not None
    terms = {tuple(term.axes): term for term in effects.terms}
    assert (terms[("activation",)].p_value or 1) < 1e-20
    assert (terms[("activation",)].partial_eta_squared or 0) > 0.9
    assert (terms[("initializer",)].p_value or 0) > 0.001
    assert ("activation", "initializer") in terms
    assert effects.residual_df == 72 - 5 - 12


def test_many_arms_list_only_the_pairs_with_the_best() -> None:
    values = noise(240, 20) * 0.01 + np.linspace(0, 1, 240)[:, None]
    answer = asked(arms_of(values))
    assert (len(answer.pairs), answer.pairs_total) == (239, 28680)
    assert {pair.a.key for pair in answer.pairs} == {answer.ranking[0].key}
    # The adjustment is for all pairs all the same, so that twenty seeds are just too few for so many.
    assert not any(pair.can_reach_alpha for pair in answer.pairs)
    assert {row.rank for row in answer.ranking} == {1}
    assert len(asked(arms_of(noise(30, 6))).pairs) == 435
    assert len(asked(arms_of(noise(31, 6))).pairs) == 30


def test_ranks_of_many_arms_are_told_apart_with_enough_seeds() -> None:
    values = noise(40, 24) * 0.001 + (np.arange(40) // 2)[:, None]
    answer = asked(arms_of(values))
    assert [row.rank for row in answer.ranking] == [2 * (i // 2) + 1 for i in range(40)]


def test_no_false_winners_under_the_null() -> None:
    """Six equal arms, ten seeds, 200 studies: more than one rank in at most about 5 %."""
    split = sum(
        {row.rank for row in asked(arms_of(noise(6, 10, index=10 + study))).ranking} != {1} for study in range(200)
    )
    assert split <= 20


@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_order_of_arms_and_seeds_does_not_matter(order: int) -> None:
    values = noise(5, 8) * 0.3 + np.arange(5)[:, None] * 0.2
    rng = stream(order, Purpose.RESAMPLING)
    plain = asked(arms_of(values))
    arms = [
        ArmInput.of(arm.key, {int(s): float(values[int(arm.key[-1]), int(s)]) for s in rng.permutation(8)}, arm.arm)
        for arm in [arms_of(values)[int(i)] for i in rng.permutation(5)]
    ]
    shuffled = asked(arms)
    assert [(row.rank, row.key) for row in shuffled.ranking] == [(row.rank, row.key) for row in plain.ranking]
    assert [pair.p_holm for pair in shuffled.pairs] == [pair.p_holm for pair in plain.pairs]
    assert shuffled.verdict == plain.verdict
