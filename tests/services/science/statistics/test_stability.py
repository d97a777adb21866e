import numpy as np
import pytest

from services.science.statistics.generalization import generalization_gap
from services.science.statistics.stability import jumpiness, sd_interval
from services.science.streams import Purpose, stream


@pytest.mark.parametrize(("n", "low", "high"), [(5, 0.60, 2.87), (10, 0.69, 1.83), (30, 0.80, 1.34)])
def test_factors_of_the_chi_square_interval(n: int, low: float, high: float) -> None:
    x = stream(n, Purpose.RESAMPLING).normal(size=n)
    interval = sd_interval(x)
    spread = x.std(ddof=1)
    assert ((interval.low or 0) / spread, (interval.high or 0) / spread) == pytest.approx((low, high), abs=0.005)


def test_chi_square_interval_covers_what_it_says() -> None:
    x = stream(1, Purpose.RESAMPLING).normal(0, 3, (3000, 5))
    assert 0.93 < np.mean([sd_interval(row).contains(3.0) for row in x]) < 0.97


def test_edges() -> None:
    assert sd_interval([1.0]).low is None
    assert (sd_interval([1.0, 1.0]).low, sd_interval([1.0, 1.0]).high) == (0.0, 0.0)


def test_a_straight_line_is_perfectly_smooth() -> None:
    result = jumpiness([np.linspace(1, 0, 11)], lower_is_better=True)
    assert result.excess_variation[0] == pytest.approx(0, abs=1e-12)
    assert result.detrended_sd[0] == pytest.approx(0, abs=1e-12)
    assert result.max_drawdown[0] == 0


def test_a_saw_by_hand() -> None:
    result = jumpiness([[4.0, 1.0, 3.0, 0.0, 2.0]], lower_is_better=True)
    assert result.excess_variation[0] == 3 + 2 + 3 + 2 - 2
    assert result.detrended_sd[0] == pytest.approx(np.std([-3.0, 2.0], ddof=1))
    assert result.max_drawdown[0] == 2.0
    upward = jumpiness([[4.0, 1.0, 3.0, 0.0, 2.0]], lower_is_better=False)
    assert upward.max_drawdown[0] == 4.0


def test_short_runs_and_an_absent_first_epoch() -> None:
    assert np.isnan(jumpiness([[1.0]], True).excess_variation).all()
    assert np.isnan(jumpiness([[1.0, 2.0]], True).detrended_sd).all()
    with_gap = jumpiness([[np.nan, 3.0, 1.0, 2.0, 1.0]], True)
    without = jumpiness([[3.0, 1.0, 2.0, 1.0]], True)
    assert with_gap.excess_variation == without.excess_variation
    assert with_gap.max_drawdown == without.max_drawdown


def test_gap() -> None:
    assert generalization_gap([0.5, 0.7], [0.4, np.nan]).tolist() == pytest.approx([0.1, np.nan], nan_ok=True)
    with pytest.raises(ValueError, match="same shape"):
        generalization_gap([1.0], [1.0, 2.0])
