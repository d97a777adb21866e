"""What finished cohorts teach the quotes, on made-up machines: a start is a summand, and small jobs know no factor."""

import math

import numpy as np
import pytest

from services.quotes.correction import (
    MOST_FACTOR,
    MOST_STARTUP,
    Assumed,
    Correction,
    Observation,
    correct,
)
from services.science.streams import Purpose, stream

ASSUMED = Assumed(0.2, 1.5, 2.0)
SMALL, ALL = (-3.5, -1.0), (-3.0, 5.5)
"""Decades of the counted work: of one-trial studies, and of whatever is asked for."""


class Made:
    """A machine that is quicker or slower than counted, with starts and short interruptions of its own."""

    def __init__(self, case: int, factor: float, startup: float) -> None:
        self.rng = stream(case, Purpose.RESAMPLING)
        self.factor, self.startup = factor, startup

    def run(self, decades: tuple[float, float], images: bool = False) -> Observation:
        work = 10 ** self.rng.uniform(*decades)
        # Beside what is counted an epoch's report costs milliseconds, which is most of a tiny training.
        trained = self.factor * work * math.exp(0.2 * self.rng.normal()) + 0.005 * self.rng.integers(1, 20)
        return Observation(work, trained, self.startup * math.exp(0.3 * self.rng.normal()), images)


def quoted(correction: Correction, work: float) -> tuple[float, float, float]:
    span = correction.startup.plus(correction.factor, work)
    return span.low, span.centre, span.high


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("startup", [0.2, 1.0, 5.0])
def test_after_a_hundred_small_jobs_quotes_of_all_sizes_hold(factor: float, startup: float) -> None:
    shares: list[float] = []
    for case in range(5):
        machine = Made(case, factor, startup)
        history = [machine.run(SMALL) for _ in range(100)][:20]
        within = 0
        for _ in range(30):
            one = machine.run(ALL)
            low, centre, high = quoted(correct(history, one.work, False, ASSUMED), one.work)
            within += low <= one.trained + (one.beyond or 0.0) <= high
            assert centre <= MOST_FACTOR * one.work + MOST_STARTUP
            assert centre - startup * 2 - 0.3 <= 2.0 * one.work, "small jobs multiplied the count"
        shares.append(within / 30)
    assert np.mean(shares) >= 0.8, shares


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_quotes_hold_on_any_machine_once_long_jobs_finish_too(factor: float) -> None:
    within = 0
    for case in range(5):
        machine = Made(case, factor, 1.0)
        history = [machine.run(SMALL) for _ in range(20)]
        for _ in range(30):
            one = machine.run(ALL)
            low, _, high = quoted(correct(history, one.work, False, ASSUMED), one.work)
            within += low <= one.trained + (one.beyond or 0.0) <= high
            if one.trained >= 0.5:
                history.append(one)
    assert within >= 0.8 * 5 * 30


@pytest.mark.parametrize("factor", [0.2, 4.0])
def test_a_few_large_jobs_among_the_small_teach_how_slow_the_machine_is(factor: float) -> None:
    machine = Made(1, factor, 1.0)
    small = [machine.run(SMALL) for _ in range(20)]
    large = [machine.run((1.0, 2.0)) for _ in range(4)]
    for work in (5.0, 500.0):
        low, centre, high = quoted(correct([*small, *large], work, False, ASSUMED), work)
        assert centre == pytest.approx(factor * work + 1.0, rel=0.5)
        assert low <= factor * work + 1.0 <= high


def test_what_finished_is_believed_less_the_less_it_resembles_the_job() -> None:
    history = [Observation(10.0, 30.0, 0.5) for _ in range(3)]
    widths = [
        math.log(span.high / span.low)
        for span in (
            correct(history, 10.0, False, ASSUMED).factor,
            correct(history, 1e4, False, ASSUMED).factor,
            correct(history, 1e4, True, ASSUMED).factor,
        )
    ]
    assert widths[0] < 0.6 * min(widths[1:])
    assert correct(history, 10.0, False, ASSUMED).factor.centre > 2.5
    assert correct(history, 10.0, True, ASSUMED).factor.centre < 1.8


def test_one_disturbed_cohort_moves_nothing_far() -> None:
    calm = [Observation(10.0, 10.0, 0.5) for _ in range(5)]
    disturbed = correct([*calm, Observation(10.0, 4000.0, 3600.0)], 10.0, False, ASSUMED)
    assert disturbed.factor.centre == pytest.approx(1.0)
    assert disturbed.startup.centre < 1.0


@pytest.mark.parametrize("ratio", [1e-6, 1e6])
def test_no_history_takes_a_quote_beyond_ten_times_its_count(ratio: float) -> None:
    history = [Observation(100.0, 100.0 * ratio, 1e6) for _ in range(20)]
    learned = correct(history, 100.0, False, ASSUMED)
    assert 1 / MOST_FACTOR <= learned.factor.centre <= MOST_FACTOR
    assert learned.startup.centre <= MOST_STARTUP


def test_an_interrupted_cohort_teaches_its_training_and_no_start() -> None:
    learned = correct([Observation(100.0, 300.0, None) for _ in range(5)], 100.0, False, ASSUMED)
    assert learned.factor.centre > 2.5
    assert (learned.starts, learned.trainings) == (0, 5)
    assert learned.startup.centre == ASSUMED.startup_seconds


def test_slow_starts_let_the_range_reach_higher_while_nothing_else_is_known() -> None:
    calm, busy = ([Observation(0.001, 0.01, seconds) for _ in range(20)] for seconds in (1.0, 6.0))
    high = [correct(history, 1000.0, False, ASSUMED).factor.high for history in (calm, busy)]
    assert high == pytest.approx([2.0, 8.0], rel=0.01)
