"""The sentence must say what the numbers say: cases by hand, and invariants over random comparisons."""

import re

import numpy as np
import pytest

from services.science.comparison.compare import compare
from services.science.comparison.input import ArmInput, ComparisonInput
from services.science.comparison.models import Comparison
from services.science.streams import Purpose, stream

Results = dict[int, float | str]


def about(arms: dict[str, Results], metric: str = "val_loss", **fields: object) -> Comparison:
    inputs = [ArmInput.of(key, results, {"arm": key}) for key, results in arms.items()]  # type: ignore[arg-type]
    return compare(ComparisonInput(metric, inputs, **fields))  # type: ignore[arg-type]


def around(mean: float, n: int, spread: float = 0.01, index: int = 0) -> Results:
    return dict(enumerate((mean + spread * stream(9, Purpose.RESAMPLING, index).normal(size=n)).tolist()))


def test_nothing_and_one_arm() -> None:
    assert about({}).verdict == "No trial has a result yet, so there is nothing to compare."
    assert about({"a": {0: "missing"}}).verdict == "No trial has a result yet, so there is nothing to compare."
    one = about({"tanh": {0: 0.5, 1: 0.7}}).verdict
    assert one.startswith("There is only one arm, tanh, with 0.6 on average over 2 seeds")


def test_one_seed_cannot() -> None:
    sentence = about({"a": {0: 0.3}, "b": {0: 0.4}}).verdict
    assert sentence.startswith("One seed cannot tell arms apart: a has the lowest final val_loss in a single run")
    assert "0.1 lower than b" in sentence
    assert "at least 6 seeds are needed" in sentence


def test_too_few_seeds_to_reach_the_level_say_how_many() -> None:
    sentence = about({"a": around(0.2, 5), "b": around(0.4, 5, index=1)}).verdict
    assert sentence.startswith("5 seeds cannot show a difference at the 0.05 level")
    assert "0.0625 before adjustment; at least 6 are needed" in sentence
    four = about({str(i): around(0.1 * i, 5, index=i) for i in range(4)}).verdict
    assert "at least 8 are needed" in four


def test_a_clear_winner_by_how_much_and_how_sure() -> None:
    answer = about({"a": around(0.2, 12), "b": around(0.4, 12, index=1), "c": around(0.6, 12, index=2)})
    pair = next(pair for pair in answer.pairs if (pair.a.key, pair.b.key) == ("a", "b"))
    assert answer.verdict.startswith("a has the lowest final val_loss, ")
    assert "over 12 seeds" in answer.verdict
    assert f"{-(pair.difference.mean or 0):.4g} lower than b" in answer.verdict
    assert f"interval of this difference {-(pair.difference.ci.high or 0):.4g} to" in answer.verdict
    assert f"Holm-adjusted p = {pair.p_holm:.2g}" in answer.verdict
    assert "told apart from each of the other 2 arms" in answer.verdict


def test_higher_is_better_is_said_so() -> None:
    answer = about({"a": around(0.9, 8), "b": around(0.5, 8, index=1)}, "val_accuracy", at="best")
    assert answer.verdict.startswith("a has the highest best-epoch val_accuracy")
    assert "higher than b" in answer.verdict


def test_a_tie_says_how_many_seeds_it_would_take() -> None:
    answer = about({"a": around(0.500, 10), "b": around(0.502, 10, index=1), "c": around(0.9, 10, index=2)})
    assert re.match(r"(a and b|b and a) cannot be told apart with 10 seeds at the 0.05 level", answer.verdict)
    assert "the other arm ranks below them" in answer.verdict
    assert f"about {answer.pairs[0].seeds_needed} seeds would be needed" in answer.verdict


@pytest.mark.parametrize("n", [1, 3, 8])
def test_an_exact_tie_has_no_winner_and_asks_for_no_seeds(n: int) -> None:
    same: Results = dict.fromkeys(range(n), 0.5)
    sentence = about({"a": same, "b": same}).verdict
    assert sentence.startswith("a and b tie exactly: both have the lowest final val_loss, 0.5")
    assert "none of them is the better one" in sentence
    assert not re.search("a has the|needed|practical number", sentence)
    assert ("on each of their" in sentence) == (n > 1)


def test_a_tie_of_means_beside_a_third_arm() -> None:
    tied: list[Results] = [{seed: 0.5 + 0.1 * (-1) ** (seed + shift) for seed in range(8)} for shift in (0, 1)]
    sentence = about({"a": tied[0], "b": tied[1], "c": around(0.52, 8), "d": around(9.0, 8)}).verdict
    assert sentence.startswith("a and b tie exactly: both have the lowest final val_loss")
    assert "; c cannot be told apart from a; the other arm ranks below them" in sentence
    assert "needed" not in sentence
    assert "each of their" not in sentence


def test_seeds_that_repeat_one_number_are_no_evidence() -> None:
    sentences = [about({"a": dict.fromkeys(range(n), 0.5), "b": dict.fromkeys(range(n), 0.6)}).verdict for n in (3, 5)]
    for sentence in sentences:
        assert "every seed of each gave the same number, so that more seeds would only repeat it" in sentence
        assert "needed" not in sentence


def test_words_follow_the_seeds_that_there_are() -> None:
    answer = about({"a": {0: 0.3, 1: 0.31, 2: 0.29}, "b": {2: 0.4, 3: 0.41, 4: 0.4, 5: 0.39, 6: 0.4}})
    assert answer.verdict.startswith("a and b share only one finished seed, which cannot tell them apart: a has the")
    assert "on average over 3 seeds" in answer.verdict
    assert "0.11 lower than b on their 1 common seed" in answer.verdict
    assert "single run" not in answer.verdict
    two = about({"a": {0: 0.3, 1: 0.31, 2: 0.29}, "b": {1: 0.4, 2: 0.4, 3: 0.41}}).verdict
    assert two.startswith("2 common seeds cannot show a difference")


def test_an_interval_that_parts_from_the_test_says_why() -> None:
    noise = [0.03, -0.02, 0.01, 0.02, -0.03, 0.0, 0.01, -0.01]
    near: Results = {seed: 0.52 + value for seed, value in enumerate(noise)}
    far = {f"arm{i}": around(5.0 + i, 8, index=i) for i in range(3)}
    answer = about({"a": dict.fromkeys(range(8), 0.5), "b": near, **far})
    pair = answer.pairs[0]
    assert (pair.difference.ci.high or 0) < 0
    assert (pair.p_holm or 0) > 0.05
    assert (pair.p_value or 1) <= 0.05
    assert (
        f"Holm-adjusted p = {pair.p_holm:.2g}; the interval is of this pair alone, the p is adjusted for 10 pairs"
        in (answer.verdict)
    )
    assert "unadjusted 95 % interval of this difference" in answer.verdict
    few = about({"a": around(0.2, 5), "b": around(0.4, 5, index=1)}).verdict
    assert "Holm-adjusted p = 0.062; the interval takes the differences for normally distributed" in few


def test_all_diverged() -> None:
    lost: Results = dict.fromkeys(range(3), "diverged")
    sentence = about({"a": lost, "b": lost}).verdict
    assert sentence == "Every trial with a result diverged (6 of 6), so no arm has a val_loss to compare."


def test_some_diverged_are_counted_and_named() -> None:
    lost: Results = dict.fromkeys(range(7), "diverged")
    answer = about({"a": around(0.5, 8), "b": {**around(0.1, 8), **lost}, "c": around(0.9, 8)})
    assert [row.rank for row in answer.ranking] == [1, 2, 3]
    assert "lowest final val_loss among the arms that diverged least" in answer.verdict
    assert "7 of 24 trials diverged (b)" in answer.verdict


def test_shares_that_no_test_tells_apart_place_nobody() -> None:
    answer = about({"a": around(0.5, 8), "b": {**around(0.1, 8, index=1), 2: "diverged"}})
    pair = answer.pairs[0]
    assert (pair.diverged_p_value, pair.diverged_p_holm) == pytest.approx((1.0, 1.0))
    assert [row.rank for row in answer.ranking] == [1, 1]
    assert answer.verdict.startswith("a and b share the first rank: b has the lowest final val_loss of them, 0.")
    assert "1 of its 8 trials diverged, against 0 of 8 of a (Fisher's test, Holm-adjusted p = 1)" in answer.verdict
    near = about({"a": around(0.500, 8), "b": {**around(0.502, 8, index=1), 2: "diverged"}})
    assert [row.rank for row in near.ranking] == [1, 1]
    worse = about({"a": around(0.1, 8), "b": {**around(0.5, 8, index=1), 2: "diverged"}})
    assert [row.rank for row in worse.ranking] == [1, 2]
    assert worse.verdict.startswith("a has the lowest final val_loss, ")


def test_an_arm_that_wins_by_not_diverging_is_not_called_better() -> None:
    lost: Results = dict.fromkeys(range(6), "diverged")
    answer = about({"a": around(0.5, 8), "b": {**around(0.1, 8), **lost}})
    assert [row.rank for row in answer.ranking] == [1, 2]
    assert answer.verdict.startswith("a ranks first because the smallest share of its trials diverged (0 of 8, against")
    assert f"Fisher's test, Holm-adjusted p = {answer.pairs[0].diverged_p_holm:.2g}" in answer.verdict
    assert "although the trials of b that finished have a lower mean" in answer.verdict


def test_an_arm_without_a_mean_stands_behind_all_that_have_one() -> None:
    answer = about({"a": around(0.5, 2), "b": dict.fromkeys(range(2), "diverged")})
    assert [row.rank for row in answer.ranking] == [1, 2]
    assert "against 2 of 2 of b; Fisher's test, Holm-adjusted p = 0.33" in answer.verdict


def test_missing_trials_are_mentioned() -> None:
    assert (
        "1 of 16 trials have no result" in about({"a": around(0.5, 8), "b": {**around(0.7, 8), 0: "missing"}}).verdict
    )


def test_no_common_seeds() -> None:
    answer = about({"a": {0: 0.1, 1: 0.2}, "b": {2: 0.3, 3: 0.4}})
    assert "shares no finished seed with b" in answer.verdict


@pytest.mark.parametrize("case", range(60))
def test_the_sentence_never_claims_more_than_the_numbers(case: int) -> None:
    rng = stream(case, Purpose.RESAMPLING)
    arms, seeds = int(rng.integers(2, 6)), int(rng.choice([1, 3, 6, 12, 33]))
    chance = rng.choice([0.0, 0.1, 0.5])
    table = rng.normal(size=(arms, seeds)) * rng.choice([0.01, 1.0]) + np.arange(arms)[:, None] * 0.3
    names = [f"arm{i}" for i in range(arms)]
    answer = about(
        {
            name: {s: "diverged" if rng.random() < chance else float(table[i, s]) for s in range(seeds)}
            for i, name in enumerate(names)
        }
    )
    sentence = answer.verdict
    # One sentence, without a number that is none.
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert not re.search(r"\b(nan|inf|None|unknown)\b", sentence)
    alone = [row for row in answer.ranking if row.rank == 1]
    if claim := re.match(r"arm\d (has the|ranks first|is the only)", sentence):
        assert len(alone) == 1 or "no finished seed" in sentence
        pair = next((p for p in answer.pairs if (p.a.key, p.b.key) == (alone[0].key, answer.ranking[1].key)), None)
        if claim[1] == "has the" and len(alone) == 1:
            assert pair is not None
            assert pair.distinguishable
            assert (pair.difference.mean or 0) < 0
        if claim[1] == "ranks first":
            assert pair is not None
            assert answer.ranking[1].mean is None or (pair.diverged_p_holm or 0) <= 0.05
    if len(alone) > 1 and alone[0].mean is not None:
        assert re.search("cannot (be told|tell|show)|no finished seed|share the first rank|tie exactly", sentence)
    if any(arm.diverged for arm in answer.arms):
        assert "diverged" in sentence
