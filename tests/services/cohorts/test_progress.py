"""Progress and remaining time from made-up cohorts, against arithmetic done by hand."""

import pytest

from services.cohorts.progress import CohortProgress, eta
from services.cohorts.settle import state_of


def cohort(
    state: str, size: int = 1, epochs: int = 10, last_epoch: int = -1, rate: float | None = None
) -> CohortProgress:
    return CohortProgress(state, size, epochs, last_epoch, rate)


def test_nothing_measured_means_unknown() -> None:
    assert eta([cohort("queued"), cohort("running")]) is None


def test_all_final_means_zero() -> None:
    assert eta([cohort("succeeded", rate=2.0), cohort("failed"), cohort("cancelled")]) == 0.0


def test_one_cohort_at_its_own_rate() -> None:
    assert eta([cohort("running", last_epoch=4, rate=0.5)]) == pytest.approx(6 * 0.5)


def test_waiting_cohorts_take_the_mean_rate_per_trial_one_after_the_other() -> None:
    running = cohort("running", size=4, last_epoch=5, rate=0.8)  # 0.2 s per trial and epoch; 5 epochs left: 4 s
    waiting = cohort("queued", size=2)  # 10 epochs of 0.4 s: 4 s
    assert eta([running, waiting]) == pytest.approx(8.0)


def test_two_lanes_halve_it_but_the_longest_cohort_sets_the_floor() -> None:
    lanes = [cohort("running", last_epoch=0, rate=1.0), cohort("running", last_epoch=0, rate=1.0)]
    assert eta([*lanes, cohort("queued"), cohort("queued")]) == pytest.approx((10 + 10 + 10 + 10) / 2)
    assert eta([cohort("running", last_epoch=0, rate=9.0), cohort("running", last_epoch=9, rate=1.0)]) == pytest.approx(
        90
    )


def test_paused_work_has_no_end_in_sight() -> None:
    assert eta([cohort("paused", last_epoch=3, rate=1.0), cohort("succeeded", rate=1.0)]) is None


@pytest.mark.parametrize(
    ("present", "cohorts", "state"),
    [
        ("queued", {"queued": 2}, "queued"),
        ("queued", {"queued": 1, "running": 1}, "running"),
        ("running", {"queued": 1, "succeeded": 1}, "running"),
        ("paused", {"queued": 1, "succeeded": 1}, "queued"),
        ("running", {"paused": 1, "succeeded": 1, "failed": 1}, "paused"),
        ("running", {"cancelled": 1, "succeeded": 1, "failed": 1}, "cancelled"),
        ("running", {"failed": 1, "succeeded": 5}, "failed"),
        ("running", {"succeeded": 5}, "succeeded"),
        ("failed", {"queued": 1, "succeeded": 5}, "queued"),
    ],
)
def test_the_experiment_follows_its_cohorts(present: str, cohorts: dict[str, int], state: str) -> None:
    assert state_of(present, cohorts) == state
