import math

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.power import TTestPower

from services.science.statistics.power import (
    paired_power,
    seeds_for_power,
    seeds_to_reach,
)


@pytest.mark.parametrize(("n", "d"), [(3, 3.26), (5, 1.68), (10, 0.996), (20, 0.66)])
def test_detectable_paired_effects_have_eighty_percent_power(n: int, d: float) -> None:
    assert float(paired_power(d, n)) == pytest.approx(0.8, abs=0.01)


def integrated_power(d: float, n: float, alpha: float) -> float:
    """P(|T| > t) as an integral over the estimated standard deviation, without the noncentral t distribution."""
    df, shift = n - 1, d * np.sqrt(n)
    critical = stats.t.ppf(1 - alpha / 2, df)

    def rejected(s: float) -> float:
        both = stats.norm.sf(critical * s - shift) + stats.norm.cdf(-critical * s - shift)
        return float(both * stats.chi.pdf(s * np.sqrt(df), df) * np.sqrt(df))

    turn = shift / critical
    return sum(
        integrate.quad(rejected, *ends, limit=200)[0] for ends in ((0, turn), (turn, 2 * turn), (2 * turn, np.inf))
    )


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 15, 0.05 / 28680])
def test_whole_numbers_of_seeds_are_the_least_that_do(alpha: float) -> None:
    d = [0.05, 0.2, 0.5, 1.0, 3.0, 8.0]
    for effect, count in zip(d, seeds_for_power(d, alpha), strict=True):
        assert integrated_power(effect, count, alpha) >= 0.8 - 1e-6
        if count > 2:
            assert integrated_power(effect, count - 1, alpha) < 0.8


@pytest.mark.parametrize(("d", "n", "alpha"), [(8, 2, 0.05), (30, 3, 1e-6), (1, 50, 1e-6), (0.3, 4, 0.2)])
def test_power_is_the_integral(d: float, n: int, alpha: float) -> None:
    assert float(paired_power(d, n, alpha)) == pytest.approx(integrated_power(d, n, alpha), abs=1e-6)


def test_no_effect_needs_no_end_and_a_sure_one_two() -> None:
    needed = seeds_for_power([0.0, 1e-9, np.inf, np.nan])
    assert needed[:3].tolist() == [np.inf, np.inf, 2.0]
    assert np.isnan(needed[3])


@pytest.mark.parametrize(("comparisons", "paired"), [(1, 6), (3, 7), (15, 10), (66, 12), (105, 13), (5, 8)])
def test_seeds_that_a_sign_flip_test_needs_to_reach_five_percent(comparisons: int, paired: int) -> None:
    assert seeds_to_reach(0.05, comparisons) == paired
    assert comparisons * 2.0 ** (1 - paired) <= 0.05 < comparisons * 2.0 ** (2 - paired)


def test_seeds_to_reach_a_level_that_is_met_exactly() -> None:
    assert seeds_to_reach(2.0**-4) == 5


@pytest.mark.parametrize(("d", "n"), [(0.5, 34), (0.8, 15), (1.0, 10), (1.5, 6)])
def test_paired_sizes_of_the_tables(d: float, n: int) -> None:
    """Cohen's tables, and statsmodels' size rounded up."""
    assert seeds_for_power([d])[0] == n
    assert n == math.ceil(TTestPower().solve_power(d, power=0.8, alpha=0.05))
