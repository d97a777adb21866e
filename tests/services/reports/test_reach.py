"""The table of a regression's reach, from made-up measurements."""

import numpy as np
import pytest
from scipy import stats

from services.reports.reach import Outputs, reach_rows
from services.science.results import ArmResults, TrialResult


def arm(key: str, states: tuple[str, ...] = ("succeeded",)) -> ArmResults:
    trials = tuple(TrialResult(f"trl_{seed}", seed, state) for seed, state in enumerate(states))
    return ArmResults(key, f"arm {key}", trials)


def outputs(key: str, low: float, high: float, seed: int = 0, epoch: int = 4, most: float = 3.0) -> Outputs:
    return Outputs(key, seed, epoch, low, high, -1.0, most)


def test_arms_come_in_the_order_of_the_grid_and_without_a_measurement_not_at_all() -> None:
    rows = reach_rows([arm("a"), arm("b"), arm("c")], [outputs("b", 2.0, 9.0), outputs("a", -0.5, 1.5)], 0.95)
    assert [(row.label, row.n, row.epoch, row.covered) for row in rows] == [
        ("arm a", 1, "4", "50 %"),
        ("arm b", 1, "4", "25 %"),
    ]
    assert (rows[0].outputs, rows[0].target) == ("−0.500 to 1.50", "−1.00 to 3.00")


def test_several_seeds_are_averaged_with_the_interval_of_the_share() -> None:
    highs = np.array([1.0, 1.2, 1.7])
    records = [outputs("a", 0.0, high, seed) for seed, high in enumerate(highs)]
    (row,) = reach_rows([arm("a", ("succeeded",) * 3)], records, 0.9)
    shares = highs / 4
    low, high = stats.t.interval(0.9, 2, shares.mean(), stats.sem(shares))
    assert row.n == 3
    assert row.covered == f"{100 * shares.mean():.0f} % ({100 * low:.0f} to {100 * high:.0f} %)"
    assert row.outputs == "0 to 1.30"


def test_diverged_trials_count_only_where_no_other_is_left() -> None:
    records = [outputs("a", 0.0, 1.0, 0), outputs("a", -90.0, 90.0, 1, epoch=2)]
    (row,) = reach_rows([arm("a", ("succeeded", "diverged"))], records, 0.95)
    assert (row.n, row.epoch, row.covered) == (1, "4", "25 %")
    (row,) = reach_rows([arm("a", ("diverged", "diverged"))], records, 0.95)
    assert (row.n, row.epoch, row.covered) == (2, "2 to 4", "62 % (25 to 100 %)")


def test_nothing_is_covered_where_the_ranges_do_not_meet() -> None:
    (row,) = reach_rows([arm("a")], [outputs("a", 5.0, 6.0)], 0.95)
    assert row.covered == "0 %"
    (row,) = reach_rows([arm("a")], [outputs("a", 0.0, 1.0, most=-1.0)], 0.95)
    assert row.covered == "–"
    assert reach_rows([arm("a")], [], 0.95) == []


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_interval_of_a_share_stays_between_none_and_all(share: float) -> None:
    ends = (-1.0, 3.0) if share else (5.0, 6.0)
    records = [outputs("a", *ends, seed) for seed in range(3)]
    (row,) = reach_rows([arm("a", ("succeeded",) * 3)], records, 0.95)
    assert row.covered == f"{100 * share:.0f} % ({100 * share:.0f} to {100 * share:.0f} %)"
