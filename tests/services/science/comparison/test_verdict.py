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


def test_identical_arms() -> None:
    same: Results = dict.fromkeys(range(8), 0.5)
    sentence = about({"a": same, "b": same}).verdict
    assert "equal to b on their 8 common seeds" in sentence
    assert "too small for any practical number of seeds" in sentence


def test_all_diverged() -> None:
    lost: Results = dict.fromkeys(range(3), "diverged")
    sentence = about({"a": lost, "b": lost}).verdict
    assert sentence == "Every trial with a result diverged (6 of 6), so no arm has a val_loss to compare."


def test_some_diverged_are_counted_and_named() -> None:
    answer = about({"a": around(0.5, 8), "b": {**around(0.1, 8), 2: "diverged", 3: "diverged"}, "c": around(0.9, 8)})
    assert answer.ranking[0].key == "a"
    assert "lowest final val_loss among the arms that diverged least" in answer.verdict
    assert "2 of 24 trials diverged (b)" in answer.verdict


def test_an_arm_that_wins_by_not_diverging_is_not_called_better() -> None:
    answer = about({"a": around(0.5, 8), "b": {**around(0.1, 8), 2: "diverged"}})
    assert answer.verdict.startswith("a ranks first because the smallest share of its trials diverged (0 of 8, against")
    assert "although the trials of b that finished have a lower mean" in answer.verdict


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
    claims_a_winner = "Holm-adjusted p" in sentence
    if claims_a_winner:
        assert len(alone) == 1
        pair = next(p for p in answer.pairs if p.a.key == alone[0].key and p.b.key == answer.ranking[1].key)
        assert pair.distinguishable
        assert (pair.difference.mean or 0) < 0
    if len(alone) > 1 and alone[0].mean is not None:
        assert re.search("cannot (be told|tell|show)|no finished seed", sentence)
    if any(arm.diverged for arm in answer.arms):
        assert "diverged" in sentence
