import pytest
from scipy import stats

from services.science.statistics.iqm import iqm
from services.science.streams import Purpose, stream


def test_worked_examples() -> None:
    assert iqm(range(1, 9)) == 4.5
    assert iqm([1, 100, 2, 3, -50]) == 2.0
    assert iqm([1, 5, 30]) == 12.0
    assert iqm([]) is None
    assert iqm([7.0]) == 7.0


@pytest.mark.parametrize("n", range(1, 14))
def test_it_is_scipys_trimmed_mean(n: int) -> None:
    x = stream(n, Purpose.RESAMPLING).normal(size=n)
    assert iqm(x) == pytest.approx(stats.trim_mean(x, 0.25))
