import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.science.statistics.convergence import (
    area_under_curve,
    epochs_to_threshold,
    kaplan_meier,
    restricted_mean,
)

# Freireich et al. (1963): weeks in remission, 6-MP against placebo; False is censored.
DRUG = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
SEEN = [week not in {3, 5, 7, 8, 11, 12, 13, 16, 17, 18, 19, 20} for week in range(21)]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def test_freireich() -> None:
    curve = kaplan_meier(DRUG, SEEN)
    assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert curve.survival == pytest.approx([0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], abs=5e-5)
    assert curve.median() == 23
    assert curve.at(5.9) == 1.0
    assert curve.at(30) == pytest.approx(0.4482, abs=5e-5)
    low, high = curve.log_log_interval()
    assert (low[0], high[0]) == pytest.approx((0.61972, 0.95155), abs=1e-5)
    assert restricted_mean(curve, 35)[0] == pytest.approx(23.28739, abs=1e-5)
    assert restricted_mean(kaplan_meier(PLACEBO, [True] * 21), 35)[0] == pytest.approx(8.66667, abs=1e-5)


@given(
    st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=2, max_size=25).filter(
        lambda x: any(s for _, s in x)
    )
)
@settings(max_examples=80, deadline=None)
def test_kaplan_meier_is_scipys(rows: list[tuple[int, bool]]) -> None:
    times, seen = np.array([t for t, _ in rows], dtype=float), np.array([s for _, s in rows])
    theirs = stats.ecdf(stats.CensoredData.right_censored(times, ~seen)).sf
    ours = kaplan_meier(times, seen)
    assert [ours.at(t) for t in theirs.quantiles] == pytest.approx(theirs.probabilities.tolist(), abs=1e-12)


def test_greenwood_without_censoring_is_the_binomial_variance() -> None:
    curve = kaplan_meier([1, 2, 3, 4, 5], [True] * 5)
    assert curve.variance == pytest.approx(curve.survival * (1 - curve.survival) / 5)


def test_restricted_mean_without_early_censoring_is_a_mean() -> None:
    times, horizon = np.array([2, 5, 5, 9, 10, 10.0]), 10
    seen = np.array([True, True, True, True, False, False])
    mean, error = restricted_mean(kaplan_meier(times, seen), horizon)
    assert mean == pytest.approx(times.mean())
    # Greenwood divides by n where the sample variance divides by n - 1.
    assert error == pytest.approx(times.std() / np.sqrt(6))


def test_nothing_reached() -> None:
    curve = kaplan_meier([10, 10], [False, False])
    assert curve.median() is None
    assert restricted_mean(curve, 10) == (10.0, 0.0)
    with pytest.raises(ValueError, match="equally long"):
        kaplan_meier([1, 2], [True])


def test_epochs_to_threshold() -> None:
    nan = np.nan
    curves = [[3, 2, 1, 2, 1, 1], [3, 3, 3, 3, 3, 3], [nan, 1, 1, 3, 3, 3], [1, 9, 9, 9, 9, nan]]
    assert epochs_to_threshold(curves, 1, True).tolist() == pytest.approx([2, nan, 1, 0], nan_ok=True)
    assert epochs_to_threshold(curves, 1, True, sustained=2).tolist() == pytest.approx([4, nan, 1, nan], nan_ok=True)
    assert epochs_to_threshold(curves, 9, False).tolist() == pytest.approx([nan, nan, nan, 1], nan_ok=True)
    assert np.isnan(epochs_to_threshold(curves, 1, True, sustained=9)).all()
    with pytest.raises(ValueError, match="sustained"):
        epochs_to_threshold(curves, 1, True, sustained=0)


def test_area_under_curve() -> None:
    assert area_under_curve([[1.0, 1.0, 1.0], [0.0, 1.0, 2.0], [2.0, 0.0, 2.0]]).tolist() == [1.0, 1.0, 1.0]
    assert area_under_curve([[np.nan, 2.0, 4.0], [np.nan, 1.0, 1.0]]).tolist() == [3.0, 1.0]
    assert area_under_curve([[5.0]]).tolist() == [5.0]
