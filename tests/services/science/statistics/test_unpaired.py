from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from services.science.statistics.unpaired import Summary, probability_of_improvement, two_sample_test, welch_interval
from services.science.streams import Purpose, stream

A = (0.601, 0.607, 0.598, 0.612, 0.604)
B = (0.571, 0.590, 0.560, 0.585, 0.577)


def test_probability_of_improvement_is_mann_whitney_over_nm() -> None:
    assert probability_of_improvement((1, 2, 3), (2, 2, 0)) == pytest.approx(2 / 3)
    assert probability_of_improvement(A, B) == 1.0
    rng = stream(1, Purpose.RESAMPLING)
    x, y = rng.integers(0, 6, 9).astype(float), rng.integers(0, 6, 13).astype(float)
    u = stats.mannwhitneyu(x, y).statistic
    assert probability_of_improvement(x, y) == pytest.approx(u / (9 * 13))
    assert probability_of_improvement(x, y, lower_is_better=True) == pytest.approx(1 - u / (9 * 13))
    assert probability_of_improvement([], y) is None


def test_welch_is_scipys() -> None:
    theirs = cast("Any", stats.ttest_ind(A, B, equal_var=False))
    assert theirs.statistic == pytest.approx(4.78741, abs=1e-5)
    interval = welch_interval(A, B)
    expected = theirs.confidence_interval(0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_welch_edges() -> None:
    assert welch_interval([1.0], [2.0, 3.0]).low is None
    point = welch_interval([1.0, 1.0], [3.0, 3.0])
    assert (point.low, point.high) == (-2.0, -2.0)


def test_published_mish_table() -> None:
    """ReLU and SELU against Mish, 23 runs each: the README of Mish prints t and an interval from unrounded runs."""
    mish = Summary(87.48, 0.397, 23)
    relu = two_sample_test(Summary(86.66, 0.584, 23), mish)
    assert relu.t == pytest.approx(-5.57, abs=0.005)
    assert relu.cohen_d == pytest.approx(-1.6455, abs=0.005)
    assert (relu.ci.low, relu.ci.high) == pytest.approx((-1.1179, -0.5247), abs=0.002)
    selu = two_sample_test(Summary(83.91, 0.600, 23), mish)
    assert abs(selu.cohen_d) == pytest.approx(7.0208, abs=0.005)
    gelu = two_sample_test(Summary(87.37, 0.472, 23), mish)
    assert abs(gelu.cohen_d) == pytest.approx(0.2505, abs=0.003)


def test_summaries_give_what_the_values_give() -> None:
    rng = stream(2, Purpose.RESAMPLING)
    x, y = rng.normal(1, 1, 8), rng.normal(0, 2, 11)
    ours = two_sample_test(Summary(x.mean(), x.std(ddof=1), 8), Summary(y.mean(), y.std(ddof=1), 11))
    theirs = cast("Any", stats.ttest_ind(x, y))
    assert (ours.t, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-9)
    with pytest.raises(ValueError, match="at least two runs"):
        two_sample_test(Summary(1, 1, 1), Summary(1, 1, 5))
    with pytest.raises(ValueError, match="nothing to test"):
        two_sample_test(Summary(1, 0, 5), Summary(1, 0, 5))


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        welch_interval([np.inf, 1.0], [1.0, 2.0])
