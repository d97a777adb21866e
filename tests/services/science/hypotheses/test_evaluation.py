"""Claims are decided as hand computation, SciPy and the definitions say."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.science.hypotheses import ClaimResult, bind, evaluate, parse
from services.science.hypotheses.binding import BoundHypothesis, BoundTerm
from services.science.results import ExperimentResults

Measure = Callable[..., ExperimentResults]
A = "val_loss(relu, he_uniform)"
B = "val_loss(tanh, he_uniform)"


def about(text: str, *arms: tuple[int, ...]) -> BoundHypothesis:
    """A claim whose quantities, in the order they are written, speak of the arms with these numbers."""
    claim = parse(text)
    terms = [(1.0, term) for term in claim.left.terms] + [(-1.0, term) for term in claim.right.terms]
    bound = tuple(
        BoundTerm(sign * term.factor, term.quantity, own) for (sign, term), own in zip(terms, arms, strict=True)
    )
    return BoundHypothesis(claim, bound, claim.left.constant - claim.right.constant)


def decide(text: str, data: ExperimentResults, *arms: tuple[int, ...], **options: Any) -> ClaimResult:
    return evaluate([about(text, *arms)], data, **options).items[0]


def runs(*finals: float | str) -> list[Any]:
    return [final if isinstance(final, str) else [9.0, final] for final in finals]


LOW = (0.601, 0.607, 0.598, 0.612, 0.604)
HIGH = (0.571, 0.590, 0.560, 0.585, 0.577)


def test_the_worked_example_of_paired_values(measure: Measure) -> None:
    data = measure("val_loss", [runs(*LOW), runs(*HIGH)])
    by_t = decide(f"{A} > {B}", data, (0,), (1,), test="t")
    assert by_t.verdict == "upheld"
    assert by_t.p_value == pytest.approx(0.0011745, abs=1e-7)
    assert by_t.difference.mean == pytest.approx(0.0278)
    assert (by_t.difference.ci.low, by_t.difference.ci.high) == pytest.approx((0.018450, 0.037150), abs=1e-6)
    assert by_t.effect_size == pytest.approx(3.69193, abs=1e-5)
    by_signs = decide(f"{A} > {B}", data, (0,), (1,))
    assert (by_signs.verdict, by_signs.p_value, by_signs.min_attainable_p) == ("undecided", 0.0625, 0.0625)
    assert not by_signs.can_reach_alpha
    assert by_signs.seeds_needed == 6
    assert "5 seeds cannot reach 0.05" in by_signs.sentence
    assert "about 6 seeds would decide it" in by_signs.sentence


@pytest.mark.parametrize(
    ("relation", "verdict"), [("<", "refuted"), ("<=", "refuted"), (">", "upheld"), (">=", "upheld")]
)
def test_a_relation_and_its_opposite(measure: Measure, relation: str, verdict: str) -> None:
    values = np.arange(8) / 100
    data = measure("val_loss", [runs(*(0.5 + values)), runs(*(0.4 + values**2))])
    assert decide(f"{A} {relation} {B}", data, (0,), (1,)).verdict == verdict
    turned = {"upheld": "refuted", "refuted": "upheld"}[verdict]
    assert decide(f"{B} {relation} {A}", data, (1,), (0,)).verdict == turned


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)), min_size=3, max_size=9),
    st.floats(-2, 2).filter(lambda c: abs(c) > 0.01),
    st.floats(-2, 2),
)
def test_sums_of_quantities_are_taken_seed_by_seed(
    measure: Measure, rows: list[tuple[float, ...]], factor: float, constant: float
) -> None:
    a, b, c = np.array(rows).T
    data = measure("val_loss", [runs(*a), runs(*b), runs(*c)])
    sign = "-" if factor < 0 else "+"
    text = f"val_loss(relu) {sign} {abs(factor):.17g} * val_loss(tanh) < val_loss(elu) + {abs(constant):.17g}"
    claim = decide(text, data, (0,), (1,), (2,))
    d = a + factor * b - c - abs(constant)
    assert claim.difference.mean == pytest.approx(d.mean(), abs=1e-12)
    observed = abs(d.sum())
    share = np.mean(
        [abs(np.dot(signs, d)) >= observed - 1e-9 * np.abs(d).sum() for signs in product((1, -1), repeat=d.size)]
    )
    if np.any(d):
        assert claim.p_value == pytest.approx(min(1.0, share))


def test_several_arms_count_by_their_mean_at_each_seed(measure: Measure) -> None:
    data = measure("val_loss", [runs(1.0, 2.0, 3.0), runs(3.0, 2.0, 5.0), runs(1.0, 1.0, 1.0)])
    claim = decide(f"{A} > {B}", data, (0, 1), (2,))
    assert claim.difference.mean == pytest.approx(np.mean([2 - 1, 2 - 1, 4 - 1]))
    assert claim.quantities[0].trials == 6


def test_best_and_worst_pick_by_the_mean_in_the_metrics_direction(measure: Measure) -> None:
    arms = [runs(1.0, 2.0, 3.0), runs(0.0, 0.0, 9.0), runs(4.0, 4.0, "diverged")]
    data = measure("val_loss", arms)
    assert decide("val_loss(best(relu)) < 1", data, (0, 1, 2)).quantities[0].chosen == "arm 0"
    assert decide("val_loss(worst(relu)) < 1", data, (0, 1, 2)).quantities[0].chosen == "arm 2"
    data = measure("val_accuracy", arms)
    assert decide("val_accuracy(best(relu)) < 1", data, (0, 1, 2)).quantities[0].chosen == "arm 1"
    assert decide("val_accuracy(worst(relu)) < 1", data, (0, 1)).quantities[0].chosen == "arm 0"
    as_loss = renamed(data, "val_accuracy", "val_loss")
    assert any("flatters" in note for note in decide("val_loss(best(relu)) < 1", as_loss, (0, 1, 2)).notes)


def renamed(data: ExperimentResults, before: str, after: str) -> ExperimentResults:
    """The same curves under another name."""
    return replace(data, arms=tuple(replace(arm, curves={after: arm.curves[before]}) for arm in data.arms))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("val_loss(relu) < 0", [4.0, 6.0]),
        ("best_val_loss(relu) < 0", [2.0, 1.0]),
        ("auc_val_loss(relu) < 0", [(8 / 2 + 5 + 2 + 4 / 2) / 3, (9 / 2 + 1 + 3 + 6 / 2) / 3]),
        ("val_loss@1(relu) < 0", [5.0, 1.0]),
        ("gap(val_loss)(relu) < 0", [1.0, 4.0]),
        ("gap(best_val_loss)(relu) < 0", [-2.0, -2.0]),
        ("gap(val_loss@1)(relu) < 0", [3.0, -2.0]),
        ("epochs_to(val_loss <= 5)(relu) < 0", [1.0, 1.0]),
        ("epochs_to(val_loss <= 2)(relu) < 0", [2.0, 1.0]),
        ("epochs_to(val_loss <= 1.5)(relu) < 0", [4.0, 1.0]),
        ("epochs_to(val_loss >= 9)(relu) < 0", [4.0, 0.0]),
        ("jumpiness(relu) < 0", [8 - 4, 13 - 3]),
    ],
)
def test_every_quantity_by_hand(measure: Measure, text: str, values: list[float]) -> None:
    curves = [[[8.0, 5.0, 2.0, 4.0], [9.0, 1.0, 3.0, 6.0]]]
    training = [[[np.nan, 2.0, 4.0, 3.0], [np.nan, 3.0, 5.0, 2.0]]]
    claim = decide(text, measure("val_loss", curves, train_loss=training), (0,))
    assert claim.difference.mean == pytest.approx(np.mean(values))
    assert claim.difference.ci.low == pytest.approx(stats.t.interval(0.95, 1, *_location(values))[0])


def _location(values: list[float]) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)) or 1e-300)


def test_a_seed_at_which_nobody_gets_there_says_nothing(measure: Measure) -> None:
    late, first, second = [0.1, 0.2, 0.3], [0.1, 0.6, 0.7], [0.1, 0.4, 0.7]
    text = "epochs_to(val_accuracy >= 0.5)(relu) <= epochs_to(val_accuracy >= 0.5)(tanh)"
    nobody = decide(text, measure("val_accuracy", [[late] * 3, [late, "diverged", late]]), (0,), (1,))
    assert (nobody.verdict, nobody.n) == ("undecided", 0)
    some = decide(text, measure("val_accuracy", [[first, late, second], [second, late, late]]), (0,), (1,))
    assert some.n == 2
    assert some.difference.mean == pytest.approx(np.mean([1 - 2, 2 - 3]))
    assert any("1 of 3 trials are not there" in note for note in some.notes)


def test_the_gap_of_an_accuracy_grows_with_overfitting(measure: Measure) -> None:
    data = measure("val_accuracy", [[[0.1, 0.7]] * 2], train_accuracy=[[[np.nan, 0.9]] * 2])
    assert decide("gap(val_accuracy)(relu) < 0", data, (0,)).difference.mean == pytest.approx(0.2)


def test_the_spread_is_the_jackknife_estimate_of_the_deviation(measure: Measure) -> None:
    values = np.array([0.3, 0.5, 0.1, 0.9, 0.4, 0.45])
    claim = decide("spread(val_loss)(relu) < 1", measure("val_loss", [runs(*values)]), (0,))
    left_out = np.array([np.delete(values, i).std(ddof=1) for i in range(6)])
    assert claim.difference.mean == pytest.approx(6 * values.std(ddof=1) - 5 * np.mean(left_out) - 1)
    error = np.sqrt(5 / 6 * np.sum((left_out - np.mean(left_out)) ** 2))
    assert claim.difference.ci.high is not None
    assert claim.difference.mean is not None
    assert claim.difference.ci.high - claim.difference.mean == pytest.approx(stats.t.ppf(0.975, 5) * error)


class TestDivergence:
    """A diverged trial is worse than any number."""

    def test_it_loses_at_its_seed_and_leaves_the_mean(self, measure: Measure) -> None:
        data = measure("val_loss", [runs(*np.linspace(1, 2, 8)), runs(*(["diverged"] * 7), 0.5)])
        claim = decide(f"{A} < {B}", data, (0,), (1,))
        assert claim.method == "sign"
        assert claim.p_value == pytest.approx(stats.binomtest(7, 8).pvalue)
        assert claim.difference.mean == pytest.approx(2 - 0.5)
        assert claim.verdict == "undecided"
        assert any("7 seeds one side diverged" in note for note in claim.notes)

    def test_an_arm_that_always_diverges_is_worse(self, measure: Measure) -> None:
        data = measure("val_loss", [runs(*np.linspace(1, 2, 8)), runs(*["diverged"] * 8)])
        assert decide(f"{A} < {B}", data, (0,), (1,)).verdict == "upheld"
        assert decide(f"{A} > {B}", data, (0,), (1,)).verdict == "refuted"
        accuracy = renamed(data, "val_loss", "val_accuracy")
        assert decide("val_accuracy(relu) > val_accuracy(tanh)", accuracy, (0,), (1,)).verdict == "upheld"
        assert decide(f"{B} < 1000", data, (1,)).verdict == "refuted"

    def test_two_that_diverge_at_a_seed_say_nothing_there(self, measure: Measure) -> None:
        data = measure("val_loss", [runs("diverged", 1.0, 2.0, "missing"), runs("diverged", 2.0, 4.0, 1.0)])
        claim = decide(f"{A} < {B}", data, (0,), (1,))
        assert (claim.n, claim.difference.mean, claim.method) == (2, -1.5, "sign_flip_exact")
        assert (claim.quantities[0].diverged, claim.quantities[0].missing) == (1, 1)

    def test_its_share_is_judged_by_the_binomial(self, measure: Measure) -> None:
        data = measure("val_loss", [runs(*([1.0] * 9), "diverged")])
        claim = decide("diverged(relu) < 0.5", data, (0,))
        assert claim.verdict == "upheld"
        assert claim.p_value == pytest.approx(stats.binomtest(1, 10, 0.5).pvalue)
        exact = stats.binomtest(1, 10).proportion_ci(0.95, "exact")
        assert (claim.difference.ci.low, claim.difference.ci.high) == pytest.approx((exact.low - 0.5, exact.high - 0.5))
        assert decide("0.5 < diverged(relu)", data, (0,)).verdict == "refuted"
        assert decide("diverged(relu) > 0", data, (0,)).verdict == "upheld"
        assert decide("diverged(relu) < 0.2", data, (0,)).verdict == "undecided"

    def test_shares_of_two_arms_are_paired(self, measure: Measure) -> None:
        data = measure("val_loss", [runs(*[1.0] * 8), runs(*["diverged"] * 7, 1.0)])
        claim = decide("diverged(relu) < diverged(tanh)", data, (0,), (1,))
        assert (claim.difference.mean, claim.verdict) == (-7 / 8, "upheld")
        assert claim.p_value == pytest.approx(2**-6)


class TestWithin:
    """Equivalence: told apart from both ends of the tolerance."""

    values = np.array([0.50, 0.52, 0.47, 0.49, 0.51, 0.53, 0.50, 0.48])

    def test_near_is_upheld_far_is_refuted_between_is_undecided(self, measure: Measure) -> None:
        data = measure("val_loss", [runs(*self.values), runs(*(self.values[::-1])), runs(*(self.values[::-1] + 1))])
        assert decide(f"{A} within 0.1 of {B}", data, (0,), (1,)).verdict == "upheld"
        assert decide(f"{A} within 0.1 of {B}", data, (0,), (2,)).verdict == "refuted"
        assert decide(f"{A} within 0.01 of {B}", data, (0,), (1,)).verdict == "undecided"

    def test_its_p_is_the_larger_of_two_t_tests(self, measure: Measure) -> None:
        data = measure("val_loss", [runs(*self.values)])
        claim = decide("val_loss(relu) within 0.03 of 0.51", data, (0,), test="t")
        each = [cast("Any", stats.ttest_1samp(self.values, 0.51 + end)).pvalue for end in (-0.03, 0.03)]
        assert claim.p_value == pytest.approx(max(each))
        assert claim.tolerance == 0.03


def test_equal_at_every_seed_needs_no_test(measure: Measure) -> None:
    data = measure("val_loss", [runs(*LOW), runs(*LOW)])
    verdicts = {
        relation: decide(f"{A} {relation} {B}", data, (0,), (1,)).verdict for relation in ("<", "<=", ">", ">=")
    }
    assert verdicts == {"<": "refuted", "<=": "upheld", ">": "refuted", ">=": "upheld"}
    assert "equal at every seed" in decide(f"{A} < {B}", data, (0,), (1,)).sentence


def test_claims_are_adjusted_together(measure: Measure) -> None:
    rng = np.random.Generator(np.random.Philox(5))
    table = rng.normal(0, 1, (4, 7)) + np.array([[0.0], [0.8], [1.5], [3.0]])
    data = measure("val_loss", [runs(*row) for row in table])
    pairs = [(0, 1), (0, 2), (0, 3), (1, 3)]
    items = evaluate([about(f"{A} < {B}", (a,), (b,)) for a, b in pairs], data, test="t").items
    raw = np.array([stats.ttest_rel(table[a], table[b]).pvalue for a, b in pairs])
    assert [item.p_value for item in items] == pytest.approx(raw)
    order = np.argsort(raw)
    stepped = np.minimum(1, np.maximum.accumulate(raw[order] * (4 - np.arange(4))))
    assert [items[i].p_holm for i in order] == pytest.approx(stepped)
    assert [item.verdict for item in items] == [
        "upheld" if p <= 0.05 else "undecided" for p in stepped[np.argsort(order)]
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_results_decide_nothing(measure: Measure, count: int) -> None:
    data = measure("val_loss", [runs(*[1.0] * count, *["missing"] * (3 - count)), runs(2.0, 2.0, 2.0)])
    claim = decide(f"{A} < {B}", data, (0,), (1,))
    assert (claim.verdict, claim.n, claim.seeds_needed) == ("undecided", count, None)
    assert claim.sentence.startswith("Undecided: ")
    by_t = decide(f"{A} < {B}", data, (0,), (1,), test="t")
    assert (by_t.verdict, by_t.p_value) == ("undecided", None)


def test_true_claims_are_rarely_refuted(measure: Measure) -> None:
    """At the edge of the null the family-wise error stays at its level (400 experiments, 3 standard errors)."""
    rng = np.random.Generator(np.random.Philox(11))
    wrong = 0
    claims = [about(f"{A} < {B}", (0,), (1,)), about("spread(relu) < spread(tanh)", (0,), (1,))]
    for _ in range(400):
        table = rng.normal(0, 1, (2, 10))
        items = evaluate(claims, measure("val_loss", [runs(*row) for row in table])).items
        wrong += any(item.verdict != "undecided" for item in items)
    assert wrong / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_bound_claim_asks_for_the_curves_it_needs(terms: Any) -> None:
    bound = bind(parse("gap(val_accuracy)(relu) < diverged(tanh) + val_loss(relu)"), terms)
    assert bound.metrics == ("val_accuracy", "train_accuracy", "val_loss")
