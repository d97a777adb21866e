import numpy as np
import pytest
from scipy import stats

from services.science.statistics.iqm import iqm, iqm_rows, stratified_bootstrap_iqm
from services.science.statistics.profiles import optimality_gap, performance_profile, profile_band
from services.science.streams import Purpose, stream


def test_worked_examples() -> None:
    assert iqm(range(1, 9)) == 4.5
    assert iqm([1, 100, 2, 3, -50]) == 2.0
    assert iqm([1, 5, 30]) == 12.0
    assert iqm([]) is None
    assert iqm([7.0]) == 7.0


@pytest.mark.parametrize("n", range(1, 14))
def test_rows_agree_with_scipys_trimmed_mean(n: int) -> None:
    x = stream(n, Purpose.RESAMPLING).normal(size=(4, n))
    assert iqm_rows(x) == pytest.approx(stats.trim_mean(x, 0.25, axis=1))


def test_bootstrap_is_seeded_and_brackets_the_estimate() -> None:
    x = stream(1, Purpose.RESAMPLING).normal(size=(10, 4))

    def interval(seed: int) -> tuple[float | None, float | None]:
        result = stratified_bootstrap_iqm(x, 0.95, stream(seed, Purpose.RESAMPLING), 500)
        return result.low, result.high

    low, high = interval(2)
    assert low is not None
    assert high is not None
    assert low < (iqm(x) or 0.0) < high
    assert interval(2) == interval(2) != interval(3)


def test_bootstrap_keeps_the_tasks_apart() -> None:
    """Tasks at 0 and at 100 without spread: resampling within tasks leaves nothing to vary."""
    x = np.column_stack([np.zeros(6), np.full(6, 100.0)])
    result = stratified_bootstrap_iqm(x, 0.95, stream(1, Purpose.RESAMPLING), 100)
    assert (result.low, result.high) == (50.0, 50.0)
    assert stratified_bootstrap_iqm([1.0], 0.95, stream(1, Purpose.RESAMPLING)).low is None


def test_profile_is_the_share_above() -> None:
    x = stream(4, Purpose.RESAMPLING).normal(size=(7, 3))
    levels = np.linspace(-3, 3, 13)
    assert performance_profile(x, levels) == pytest.approx([np.mean(x > level) for level in levels])
    assert performance_profile([1.0, 2.0], [1.0, 2.0]).tolist() == [0.5, 0.0]
    assert np.isnan(performance_profile([], [0.0])).all()
    low, high = profile_band(x, levels, 0.9, stream(5, Purpose.RESAMPLING), 200)
    assert np.all(low <= performance_profile(x, levels))
    assert np.all(performance_profile(x, levels) <= high)


def test_optimality_gap() -> None:
    assert optimality_gap([0.5, 1.5]) == 0.25
    assert optimality_gap([]) is None
