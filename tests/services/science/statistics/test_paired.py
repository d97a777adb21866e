import numpy as np
import pytest

from services.science.statistics.paired import cohen_dz

A = (0.601, 0.607, 0.598, 0.612, 0.604)
B = (0.571, 0.590, 0.560, 0.585, 0.577)


def test_the_five_seed_oracle() -> None:
    size = cohen_dz(np.subtract(A, B))
    assert size == pytest.approx(3.69193, abs=1e-5)
    assert size == pytest.approx(8.25540 / np.sqrt(5), abs=1e-5), "the paired t statistic over the root of n"


def test_edges() -> None:
    assert cohen_dz([]) is None
    assert cohen_dz([0.5]) is None
    assert cohen_dz([0.0, 0.0, 0.0]) is None


def test_a_constant_difference_has_no_effect_size_even_when_rounded() -> None:
    a = np.array([0.1, 0.2, 0.3, 0.7])
    assert cohen_dz(a - (a - 0.1)) is None
