import numpy as np
import pytest
from scipy import stats

from services.science.statistics.sequential import decide_halfwidth, decide_ranked, look_alpha
from services.science.streams import Purpose, stream

LOOKS = range(5, 41, 5)


def test_the_level_is_spent_and_no_more() -> None:
    assert sum(look_alpha(0.05, look, 8) for look in range(1, 9)) == pytest.approx(0.05)
    assert sum(look_alpha(0.05, look, None) for look in range(1, 100_000)) == pytest.approx(0.05, abs=1e-5)
    with pytest.raises(ValueError, match="between 1 and 8"):
        look_alpha(0.05, 9, 8)
    with pytest.raises(ValueError, match="alpha"):
        look_alpha(1.0, 1, 2)


@pytest.mark.parametrize("looks", [8, None])
def test_peeking_under_the_null_errs_no_more_than_the_level(looks: int | None) -> None:
    """Two equal arms, a look after every five seeds, 400 studies: at most 5 % may ever name a best arm."""
    errors = naive = 0
    for study in range(400):
        values = stream(study, Purpose.RESAMPLING).normal(size=(2, 40))
        decisions = [decide_ranked(values[:, :n], True, 0.95, look, looks) for look, n in enumerate(LOOKS, 1)]
        errors += any(pair.relation in {"better", "worse"} for decision in decisions for pair in decision.pairs)
        naive += any(stats.ttest_rel(*values[:, :n]).pvalue < 0.05 for n in LOOKS)
    # A true rate of 5 % gives more than 34 of 400 once in 700 suites; the bound is conservative and stays far below.
    assert errors <= 34
    assert naive > 40


def test_peeking_over_many_arms_errs_no_more_than_the_level() -> None:
    errors = 0
    for study in range(150):
        values = stream(study, Purpose.RESAMPLING, 1).normal(size=(5, 20))
        decisions = [decide_ranked(values[:, :n], False, 0.9, look, 4) for look, n in enumerate(range(5, 21, 5), 1)]
        errors += any(pair.relation in {"better", "worse"} for decision in decisions for pair in decision.pairs)
    assert errors <= 27


def test_a_clear_best_arm_is_found_and_named() -> None:
    values = stream(1, Purpose.RESAMPLING).normal(0, 0.1, (3, 10)) + np.array([[1.0], [0.0], [0.5]])
    low = decide_ranked(values, True, 0.95, 2, 10)
    assert (low.stop, low.best) == (True, 1)
    assert decide_ranked(values, False, 0.95, 2, 10).best == 0
    order = decide_ranked(values, True, 0.95, 2, 10, goal="order")
    assert [pair.relation for pair in order.pairs] == ["worse", "worse", "better"]


def test_equal_arms_stop_by_tolerance_or_at_the_last_look() -> None:
    values = stream(2, Purpose.RESAMPLING).normal(0, 0.01, (2, 12))
    assert not decide_ranked(values, True, 0.95, 1, 5).stop
    within = decide_ranked(values, True, 0.95, 1, 5, tolerance=0.1)
    assert (within.stop, within.best, within.pairs[0].relation) == (True, 0, "equivalent")
    last = decide_ranked(values, True, 0.95, 5, 5)
    assert (last.stop, last.best) == (True, None)
    assert "last of 5 looks" in last.reason


def test_equal_values_settle_nothing() -> None:
    rounded = np.array([[0.9, 0.9], [0.8, 0.8]])
    assert decide_ranked(rounded, False, 0.95, 1, 5).pairs[0].relation == "undecided"
    assert not decide_halfwidth([[0.9, 0.9]], 0.1, 0.95, 1, 5).stop


def test_diverged_trials_are_left_out_and_pairs_use_their_common_seeds() -> None:
    values = np.array([[1.0, np.nan, 1.1, 0.9, 1.05], [0.0, 0.1, np.nan, 0.05, 0.02], [np.nan] * 5])
    decision = decide_ranked(values, True, 0.95, 1, 1)
    assert decision.pairs[1].relation == "undecided"
    assert decision.pairs[1].interval.low is None
    assert decision.best is None


def test_half_width() -> None:
    x = stream(3, Purpose.RESAMPLING).normal(size=(2, 30))
    level = 1 - 0.05 / 4 / 2
    widest = max(stats.t.ppf((1 + level) / 2, 29) * row.std(ddof=1) / np.sqrt(30) for row in x)
    assert decide_halfwidth(list(x), widest * 1.0001, 0.95, 2, 4).stop
    unsure = decide_halfwidth(list(x), widest * 0.9999, 0.95, 2, 4)
    assert not unsure.stop
    assert unsure.level == pytest.approx(level)
    assert decide_halfwidth(list(x), widest * 0.9999, 0.95, 4, 4).stop
    assert not decide_halfwidth([[], [1.0]], 1.0, 0.95, 1, 4).stop
    with pytest.raises(ValueError, match="target"):
        decide_halfwidth([[1.0]], 0.0, 0.95, 1, 4)


def test_intervals_at_the_stop_cover_what_they_say() -> None:
    """Stopping when narrow favours samples that happen to be narrow; the level still holds."""
    missed = 0
    for study in range(300):
        x = stream(study, Purpose.RESAMPLING, 2).normal(size=40)
        for look, n in enumerate(LOOKS, 1):
            decision = decide_halfwidth([x[:n]], 0.6, 0.95, look, 8)
            if decision.stop:
                missed += not decision.intervals[0].contains(0.0)
                break
    assert missed <= 27


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        decide_ranked([1.0, 2.0], True, 0.95, 1, 1)
    with pytest.raises(ValueError, match="tolerance"):
        decide_ranked([[1.0], [2.0]], True, 0.95, 1, 1, tolerance=-1)
