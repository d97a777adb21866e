from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.science.statistics.permutation import (
    EXACT_LIMIT,
    exact_sign_flip_p,
    min_attainable_p,
    monte_carlo_sign_flip_p,
    sign_flip_test,
)
from services.science.streams import Purpose, stream


def listed_p(d: np.ndarray) -> float:
    """All 2^n patterns one by one, in exact integer arithmetic."""
    signs = np.array(list(product((-1, 1), repeat=d.size)))
    sums = np.abs(signs @ d)
    return float(np.mean(sums >= abs(d.sum())))


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=11))
@settings(max_examples=150, deadline=None)
def test_exact_p_counts_every_pattern_ties_and_zeros_included(differences: list[int]) -> None:
    d = np.array(differences)
    assert sign_flip_test(d / 8.0).p_value == pytest.approx(listed_p(d), abs=1e-12)
    # Rounded decimals tie only up to rounding errors, which must not break ties.
    assert sign_flip_test(d / 10.0).p_value == pytest.approx(listed_p(d), abs=1e-12)


@pytest.mark.parametrize("n", [6, 9, 13])
def test_exact_p_is_scipys(n: int) -> None:
    d = stream(n, Purpose.RESAMPLING).normal(0.4, 1, n)
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=2**20)
    assert sign_flip_test(d).p_value == pytest.approx(theirs.pvalue, abs=1e-12)


def test_the_five_seed_oracle() -> None:
    a, b = np.array([0.601, 0.607, 0.598, 0.612, 0.604]), np.array([0.571, 0.590, 0.560, 0.585, 0.577])
    result = sign_flip_test(a - b)
    assert (result.p_value, result.min_attainable_p, result.method) == (0.0625, 0.0625, "sign_flip_exact")


def test_p_is_never_below_what_so_many_seeds_can_give() -> None:
    for n in range(1, 12):
        p = sign_flip_test(np.arange(1.0, n + 1)).p_value
        assert p == min_attainable_p(n) == 2.0 ** (1 - n)


def test_edges() -> None:
    assert sign_flip_test([]).p_value is None
    assert sign_flip_test([]).min_attainable_p is None
    assert sign_flip_test([0.3]).p_value == 1.0
    assert sign_flip_test([0.0] * 8).p_value == 1.0
    assert sign_flip_test([1.0, -1.0]).p_value == 1.0


def test_scale_and_sign_do_not_matter() -> None:
    d = stream(1, Purpose.RESAMPLING).normal(0.2, 1, 14)
    p = exact_sign_flip_p(d)
    assert p == exact_sign_flip_p(-d) == exact_sign_flip_p(d * 2.0**40) == exact_sign_flip_p(d[::-1].copy())


def test_monte_carlo_agrees_with_counting() -> None:
    d = stream(2, Purpose.RESAMPLING).normal(0.25, 1, (24, 3))
    exact = np.array([exact_sign_flip_p(column) for column in d.T])
    estimated = monte_carlo_sign_flip_p(d, stream(3, Purpose.RESAMPLING), 40_000)
    error = np.sqrt(exact * (1 - exact) / 40_000)
    assert np.all(np.abs(estimated - exact) < 5 * error + 1e-4)


def test_above_the_limit_the_test_is_seeded_monte_carlo() -> None:
    d = stream(4, Purpose.RESAMPLING).normal(0.3, 1, EXACT_LIMIT + 1)
    with pytest.raises(ValueError, match="needs a generator"):
        sign_flip_test(d)
    first, again, other = (sign_flip_test(d, stream(seed, Purpose.RESAMPLING), 2000) for seed in (5, 5, 6))
    assert first == again
    assert first.method == "sign_flip_monte_carlo"
    assert first.p_value != other.p_value
    assert first.min_attainable_p == pytest.approx(1 / 2001)


def test_the_null_is_rejected_as_often_as_the_level_says() -> None:
    d = stream(7, Purpose.RESAMPLING).normal(size=(3000, 10))
    rejected = np.mean([exact_sign_flip_p(row) <= 0.05 for row in d])
    assert 0.035 < rejected < 0.065
