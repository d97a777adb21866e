"""What a report says of seeds in rounds."""

from typing import Any

import pytest

from services.reports.rounds import rounds_sentence

RECORD: dict[str, Any] = {
    "round": 2, "rounds": 3, "seeds": 6, "most_seeds": 9, "stopped": True, "reason": "the best arm is settled",
    "guarantee": "with probability 0.95 or more, no interval is wrong",
    "looks": [
        {"round": 1, "seeds": 3, "stop": False, "best": None},
        {"round": 2, "seeds": 6, "stop": True, "best": "relu"},
    ],
}  # fmt: skip
SPEC = {"rounds": {"metric": "val_accuracy"}}


def test_the_sentence_names_the_round_the_metric_and_the_best_arm() -> None:
    sentence = rounds_sentence(RECORD, SPEC)
    assert sentence is not None
    assert "after round 2 of at most 3, with 6 seeds, by the final val_accuracy" in sentence
    assert "the best arm is settled (relu); with probability 0.95" in sentence
    assert "does not suppose normal values" in sentence


@pytest.mark.parametrize("looks", [[], [{"round": 2, "seeds": 6, "stop": True}]])
def test_a_record_that_names_no_best_arm_is_told_without_one(looks: list[dict[str, Any]]) -> None:
    sentence = rounds_sentence({**RECORD, "looks": looks}, SPEC)
    assert sentence is not None
    assert "the best arm is settled; with" in sentence


def test_rounds_that_go_on_settle_nothing_yet() -> None:
    sentence = rounds_sentence({**RECORD, "stopped": False, "reason": None}, SPEC)
    assert sentence is not None
    assert sentence.endswith("the question is not settled yet.")


def test_an_experiment_without_rounds_is_told_nothing_of_them() -> None:
    assert rounds_sentence(None, {}) is None
