"""The grid and how it is cut into cohorts."""

import pytest

from services.science.grid import cut, expand
from services.science.spec import ExperimentSpec


def grid(seeds: int = 10, **changes: object):
    document = {"dataset": "digits", "activation": ["relu", "tanh"], "initializer": "he_uniform", "epochs": 1}
    return expand(ExperimentSpec.model_validate({**document, "seeds": seeds, **changes}))


def sizes(cohorts: tuple[tuple[int, ...], ...]) -> list[int]:
    return [len(positions) for positions in cohorts]


@pytest.mark.parametrize("lanes", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("width", [1, 6, 64])
def test_every_trial_is_in_one_cohort_and_all_lanes_have_one(width: int, lanes: int) -> None:
    made = grid(batch_size=[16, 32])
    cohorts = cut(made, width, lanes)
    assert sorted(sum(cohorts, ())) == list(range(40))
    assert max(sizes(cohorts)) <= width
    assert len(cohorts) >= min(lanes, 40) - 1
    for positions in cohorts:
        assert len({made.arms[made.trials[position].arm_index].batch_size for position in positions}) == 1


def test_one_lane_keeps_trials_together() -> None:
    assert sizes(cut(grid(), 64)) == [20]
    assert sizes(cut(grid(), 64, 2)) == [10, 10]
    assert sizes(cut(grid(seeds=1), 64, 8)) == [1, 1]


def test_groups_share_the_lanes_by_their_size() -> None:
    made = grid(optimizer=["sgd", "adam", "rmsprop"], seeds=4)
    assert sizes(cut(made, 64, 6)) == [4] * 6
    assert sizes(cut(made, 64, 3)) == [8] * 3


def rates(*values: float) -> list[str]:
    made = grid(seeds=1, activation="relu", optimizer={"kind": "sgd", "learning_rate": list(values)})
    return [label.removeprefix("relu · he_uniform · ") for label in made.labels]


def test_a_parameter_that_varies_is_named_in_every_arm() -> None:
    assert rates(0.01, 0.1) == ["sgd(learning_rate=0.01)", "sgd(learning_rate=0.1)"]
    assert rates(0.1, 1e-05) == ["sgd(learning_rate=0.1)", "sgd(learning_rate=1e-05)"]
    made = grid(seeds=1, activation=["relu", "leaky_relu", {"kind": "leaky_relu", "negative_slope": 0.1}])
    assert made.labels == (
        "relu · he_uniform",
        "leaky_relu(negative_slope=0.01) · he_uniform",
        "leaky_relu(negative_slope=0.1) · he_uniform",
    )


def test_what_is_the_same_in_all_arms_is_named_only_where_it_is_not_the_default() -> None:
    made = grid(seeds=1, optimizer={"kind": "sgd", "momentum": 0.9, "learning_rate": [0.01, 0.1]}, activation="relu")
    assert [label.split(" · ")[-1] for label in made.labels] == [
        "sgd(learning_rate=0.01, momentum=0.9)",
        "sgd(learning_rate=0.1, momentum=0.9)",
    ]
    other = grid(seeds=1, optimizer=["sgd", {"kind": "adam", "learning_rate": 0.01}], activation="relu")
    assert [label.split(" · ")[-1] for label in other.labels] == ["sgd", "adam(learning_rate=0.01)"]
    assert grid(seeds=1).labels == ("relu · he_uniform", "tanh · he_uniform")


def test_arms_that_differ_in_a_late_digit_have_different_labels() -> None:
    assert rates(0.12345678, 0.12345679) == ["sgd(learning_rate=0.12345678)", "sgd(learning_rate=0.12345679)"]


def test_a_parameter_that_one_arm_alone_has_is_named_in_its_siblings() -> None:
    arms = [{"optimizer": {"kind": "sgd", "momentum": 0.9}}, {"optimizer": {"kind": "sgd", "clip_norm": 1.0}}]
    made = grid(seeds=1, activation="relu", arms=[{**arm, "activation": "relu"} for arm in arms])
    parts = {label.split(" · ")[-1] for label in made.labels}
    assert parts == {"sgd(clip_norm=None, momentum=0.9)", "sgd(clip_norm=1, momentum=0)"}
