import numpy as np
import pytest
from scipy import stats

from services.science.statistics.paired import (
    cohen_dz,
    hedges_gz,
    paired_difference,
    paired_probability_of_improvement,
)
from services.science.streams import Purpose, stream

A = (0.601, 0.607, 0.598, 0.612, 0.604)
B = (0.571, 0.590, 0.560, 0.585, 0.577)


def test_the_five_seed_oracle() -> None:
    result = paired_difference(A, B)
    assert result.mean == pytest.approx(0.0278, abs=1e-12)
    assert result.ci.low == pytest.approx(0.018450, abs=1e-6)
    assert result.ci.high == pytest.approx(0.037150, abs=1e-6)
    assert result.effect_size == pytest.approx(3.69193, abs=1e-5)
    assert result.effect_size == pytest.approx(8.25540 / np.sqrt(5), abs=1e-5)
    assert result.test.p_value == 0.0625
    assert paired_probability_of_improvement(A, B) == 1.0
    assert paired_probability_of_improvement(A, B, lower_is_better=True) == 0.0


@pytest.mark.parametrize("n", [2, 5, 17])
def test_interval_is_scipys_paired_t(n: int) -> None:
    rng = stream(n, Purpose.RESAMPLING)
    a, b = rng.normal(1, 1, n), rng.normal(0, 1, n)
    theirs = stats.ttest_rel(a, b).confidence_interval(0.9)
    ours = paired_difference(a, b, 0.9)
    assert (ours.ci.low, ours.ci.high) == pytest.approx((theirs.low, theirs.high), rel=1e-10)


def test_edges() -> None:
    nothing = paired_difference([], [])
    assert (nothing.n, nothing.mean, nothing.ci.low, nothing.test.p_value) == (0, None, None, None)
    one = paired_difference([1.0], [0.5])
    assert (one.mean, one.ci.low, one.effect_size, one.test.p_value) == (0.5, None, None, 1.0)
    same = paired_difference(A, A)
    assert (same.mean, same.effect_size, same.test.p_value) == (0.0, None, 1.0)
    assert paired_probability_of_improvement(A, A) == 0.5
    assert paired_probability_of_improvement([], []) is None
    with pytest.raises(ValueError, match="same seeds"):
        paired_difference([1.0, 2.0], [1.0])


def test_a_constant_difference_has_no_effect_size_even_when_rounded() -> None:
    a = np.array([0.1, 0.2, 0.3, 0.7])
    assert cohen_dz(a - (a - 0.1)) is None
    assert hedges_gz(a - (a - 0.1)) is None


def test_hedges_factor_takes_out_the_bias() -> None:
    """Over many samples of ten the corrected effect size is centred on the true one, the plain one is not."""
    samples = stream(5, Purpose.RESAMPLING).normal(0.8, 1, (4000, 10))
    plain = np.mean([cohen_dz(row) or 0.0 for row in samples])
    corrected = np.mean([hedges_gz(row) or 0.0 for row in samples])
    assert plain > 0.85
    assert corrected == pytest.approx(0.8, abs=0.02)


def test_above_thirty_pairs_a_stream_is_needed() -> None:
    rng = stream(8, Purpose.RESAMPLING)
    a, b = rng.normal(size=40), rng.normal(size=40)
    with pytest.raises(ValueError, match="generator"):
        paired_difference(a, b)
    assert paired_difference(a, b, rng=rng, draws=500).test.method == "sign_flip_monte_carlo"
