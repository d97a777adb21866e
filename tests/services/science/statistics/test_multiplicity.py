import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from services.science.statistics.multiplicity import holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def test_worked_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P_VALUES)
@settings(max_examples=60, deadline=None)
def test_holm_is_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@given(P_VALUES, st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_tests_not_at_hand_only_raise_the_adjusted_values(p: list[float], more: int) -> None:
    larger = holm(p, total=len(p) + more)
    assert np.all(larger >= holm(p) - 1e-15)
    # What is not at hand comes last: adding ones gives the same.
    assert larger == pytest.approx(holm([*p, *[1.0] * more])[: len(p)])


def test_tests_that_could_not_be_made_do_not_count() -> None:
    assert holm([0.01, np.nan, 0.04])[[0, 2]] == pytest.approx(holm([0.01, 0.04]))
    assert np.isnan(holm([0.01, np.nan])[1])
    assert holm([]).size == 0


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])
    with pytest.raises(ValueError, match="at least the number"):
        holm([0.1, 0.2], total=1)
    with pytest.raises(ValueError, match="one-dimensional"):
        holm([[0.1]])
