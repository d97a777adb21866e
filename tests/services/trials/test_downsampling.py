"""Thinning keeps the ends and the extremes, keeps to its bound, and keeps only what was there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.trials.downsampling import keep

curves = arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6) | st.just(float("nan")))


@given(curves, st.integers(2, 120))
def test_the_choice_is_bounded_ordered_and_keeps_the_ends(values: np.ndarray, points: int) -> None:
    indices = keep(values, points)
    assert indices.size <= max(points, 2) or indices.size == values.size
    assert (np.diff(indices) > 0).all()
    assert (indices[0], indices[-1]) == (0, values.size - 1)
    assert (indices == keep(values.copy(), points)).all()


@given(curves, st.integers(4, 120))
def test_the_extremes_survive(values: np.ndarray, points: int) -> None:
    if np.isnan(values).all():
        return
    sample = values[keep(values, points)]
    assert np.nanmin(sample) == np.nanmin(values)
    assert np.nanmax(sample) == np.nanmax(values)


def test_a_short_curve_is_left_alone() -> None:
    assert keep(np.arange(5.0), 5).tolist() == [0, 1, 2, 3, 4]
    assert keep(np.arange(5.0), 2).tolist() == [0, 4]
