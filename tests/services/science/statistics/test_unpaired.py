import numpy as np
import pytest
from scipy import stats

from services.science.statistics.unpaired import probability_of_improvement
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


def test_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        probability_of_improvement([np.inf, 1.0], [1.0, 2.0])
