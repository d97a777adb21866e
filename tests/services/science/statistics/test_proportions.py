"""Fisher's exact test against SciPy's own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.science.statistics.proportions import fisher_exact_p

SHARES = st.integers(0, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(SHARES, SHARES)
@settings(max_examples=100, deadline=None)
def test_it_is_scipys(one: tuple[int, int], other: tuple[int, int]) -> None:
    table = [[one[0], one[1] - one[0]], [other[0], other[1] - other[0]]]
    _, expected = stats.fisher_exact(table)
    assert fisher_exact_p(*one, *other) == pytest.approx(expected, abs=1e-9)
    assert fisher_exact_p(*one, *other) == pytest.approx(fisher_exact_p(*other, *one), abs=1e-9)


def test_the_cases_of_few_seeds() -> None:
    assert fisher_exact_p(0, 8, 1, 8) == pytest.approx(1.0)
    assert fisher_exact_p(0, 4, 4, 4) == pytest.approx(2 / 70)
    assert fisher_exact_p(0, 0, 3, 5) == 1.0


def test_impossible_counts_are_named() -> None:
    with pytest.raises(ValueError, match="hits must lie between 0 and its trials, 3, not 4"):
        fisher_exact_p(4, 3, 0, 3)
