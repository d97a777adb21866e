import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from services.science.statistics.intervals import bca_interval, t_interval, wilson_interval
from services.science.streams import Purpose, stream


def draws(index: int = 0) -> np.random.Generator:
    return stream(11, Purpose.RESAMPLING, index)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_t_interval_is_scipys(n: int, confidence: float) -> None:
    x = draws(n).normal(3, 2, n)
    interval = t_interval(x, confidence)
    low, high = stats.t.interval(confidence, n - 1, x.mean(), stats.sem(x))
    assert interval.low == pytest.approx(low, rel=1e-12)
    assert interval.high == pytest.approx(high, rel=1e-12)


def test_t_interval_covers_what_it_says_at_five_seeds() -> None:
    x = draws().normal(size=(4000, 5))
    covered = sum(t_interval(row, 0.95).contains(0.0) for row in x) / 4000
    # Binomial standard error 0.34 %: the band of 93 to 97 % is six of them wide.
    assert 0.93 < covered < 0.97


@pytest.mark.parametrize("x", [[], [1.5]])
def test_too_few_values_give_no_bounds(x: list[float]) -> None:
    for interval in (t_interval(x), bca_interval(x, lambda s: s.mean(axis=-1), 0.95, draws())):
        assert interval.low is None
        assert interval.high is None
        assert interval.halfwidth is None


def test_equal_values_give_a_point() -> None:
    for interval in (t_interval([2.0] * 4), bca_interval([2.0] * 4, lambda s: s.mean(axis=-1), 0.95, draws())):
        assert (interval.low, interval.high) == (2.0, 2.0)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_outside_zero_and_one_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        t_interval([1.0, 2.0], confidence)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        t_interval([1.0, np.nan])


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_bca_is_scipys_up_to_resampling_noise(statistic: object) -> None:
    x = draws(1).gamma(2.0, size=25)
    ours = bca_interval(x, lambda s: statistic(s, axis=-1), 0.9, draws(2), 20_000)  # type: ignore[operator]
    theirs = stats.bootstrap(
        (x,), statistic, confidence_level=0.9, n_resamples=20_000, method="BCa", rng=draws(3)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.03)
    assert ours.high == pytest.approx(theirs.high, abs=0.03)


def test_bca_is_repeatable_and_takes_its_generator_seriously() -> None:
    x = draws().normal(size=12)

    def interval(index: int) -> object:
        return bca_interval(x, lambda s: s.mean(axis=-1), 0.95, draws(index), 500)

    assert interval(1) == interval(1)
    assert interval(1) != interval(2)


@pytest.mark.parametrize(("k", "n"), [(0, 5), (2, 5), (5, 5), (17, 240)])
def test_wilson_is_statsmodels(k: int, n: int) -> None:
    interval = wilson_interval(k, n)
    low, high = proportion_confint(k, n, method="wilson")
    assert interval.low == pytest.approx(low, abs=1e-12)
    assert interval.high == pytest.approx(high, abs=1e-12)


def test_wilson_of_nothing_has_no_bounds_and_refuses_the_impossible() -> None:
    assert wilson_interval(0, 0).low is None
    with pytest.raises(ValueError, match="between 0 and n = 3"):
        wilson_interval(4, 3)
