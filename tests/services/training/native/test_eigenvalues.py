"""Eigenvalues beside LAPACK's."""

import numpy as np
import pytest
from scipy.linalg import hilbert

from services.science.streams import Purpose, stream
from services.training.layer_statistics import effective_ranks
from services.training.native.eigenvalues import LARGEST, eigenvalues


def grams(size: int, count: int) -> np.ndarray:
    """Squares of random matrices: of every rank, of all sizes of numbers, with equal and with tiny eigenvalues."""
    rng = stream(21, Purpose.SYNTHETIC)
    factors = rng.normal(size=(count, size, size))
    for number, factor in enumerate(factors):
        factor[:, number % (size + 1) :] = 0.0
        factors[number] *= 10.0 ** (3 * (number % 9) - 12)
    products = factors @ factors.transpose(0, 2, 1)
    special = [np.zeros((size, size)), np.eye(size), np.ones((size, size)), hilbert(size)]
    special += [np.diag(np.logspace(-18, 0, size)), np.kron(np.eye(2), np.ones((size, size)))[:size, :size]]
    halves = rng.normal(size=(size, size // 2 + 1))
    doubled = np.concatenate([halves, halves], axis=1)[:, :size]
    return np.concatenate([products, np.stack([*special, doubled.T @ doubled])])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 16, 33, 50, LARGEST, LARGEST + 1])
def test_they_are_lapacks(size: int) -> None:
    matrices = grams(size, 23)
    expected = np.linalg.eigvalsh(matrices)
    computed = np.sort(eigenvalues(matrices), axis=1)
    largest = np.abs(expected).max(axis=1, keepdims=True)
    assert np.all(np.abs(computed - expected) <= 1e-14 * np.sqrt(size) * largest)


def test_a_matrix_has_the_same_whatever_stands_beside_it() -> None:
    matrices = grams(12, 30)
    together = eigenvalues(matrices)
    for number in range(0, len(matrices), 5):
        np.testing.assert_array_equal(eigenvalues(matrices[number : number + 1])[0], together[number])


def test_none_at_all() -> None:
    assert eigenvalues(np.empty((0, 5, 5))).shape == (0, 5)


def test_effective_ranks_by_them() -> None:
    rng = stream(22, Purpose.SYNTHETIC)
    for shape in ((6, 50), (50, 50), (32, 32), (50, 1)):
        weights = rng.normal(size=(20, *shape)).astype(np.float32)
        weights[3] = 0.0
        weights[4, :, 1:] = 0.0
        weights[5] = np.nan
        ranks, expected = effective_ranks(weights, eigenvalues), effective_ranks(weights)
        assert ranks[3] is ranks[5] is None
        assert ranks[4] == pytest.approx(1.0, abs=1e-6)
        healthy = [number for number in range(20) if number not in (3, 5)]
        assert [ranks[i] for i in healthy] == pytest.approx([expected[i] for i in healthy], rel=1e-6)
