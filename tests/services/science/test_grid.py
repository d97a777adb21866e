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
