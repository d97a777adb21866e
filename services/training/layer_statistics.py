"""Numbers of a layer's weights alone, on the host in float64."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

SAME_UNIT = 1e-6
"""Two units are the same when their weights differ by less than this share of the larger one's norm."""

FloatArray = NDArray[np.floating]
EigenvaluesOf = Callable[[NDArray[np.float64]], FloatArray]


def distinct_units(weights: FloatArray, biases: FloatArray, width_factor: int) -> list[int]:
    """Count each layer's classes of units with equal incoming weights and biases; 1: symmetry was never broken.

    Args:
        weights: ``[n, fan_in, units * width_factor]``, finite.
        biases: ``[n, units * width_factor]``.
        width_factor: pre-activations per unit; unit j has the columns j, j + units, ...
    """
    columns = np.concatenate([weights, biases[:, None]], axis=1, dtype=np.float64)
    squares = np.einsum("nij,nij->nj", columns, columns).reshape(len(columns), width_factor, -1).sum(axis=1)
    # Units that are the same have nearly the same norm: sorted by it, only neighbours need be compared.
    norms = np.sqrt(np.sort(squares, axis=1))
    close: NDArray[np.bool_] = np.any(np.diff(norms, axis=1) <= SAME_UNIT * norms[:, 1:], axis=1)
    return [
        _classes(np.concatenate(np.split(own, width_factor, axis=1)).T, norm) if some else len(norm)
        for own, norm, some in zip(columns, squares, close, strict=True)
    ]


def _classes(units: NDArray[np.float64], squares: NDArray[np.float64]) -> int:
    """Compare all pairs of ``[units, inputs]``; `squares` are their squared norms."""
    distances = squares[:, None] + squares[None, :] - 2.0 * units @ units.T
    largest = np.maximum(squares[:, None], squares[None, :])
    count, _ = connected_components(distances <= SAME_UNIT**2 * largest, directed=False)
    return int(count)


def effective_ranks(weights: FloatArray, eigenvalues: EigenvaluesOf = np.linalg.eigvalsh) -> list[float | None]:
    """Exponential of the entropy of each matrix's singular values' shares: 1 to min(shape); None for a zero matrix.

    Roy & Vetterli 2007, The effective rank: a measure of effective dimensionality.

    Args:
        weights: matrices ``[n, rows, columns]``; one that is not finite gives None.
        eigenvalues: gives the eigenvalues ``[n, size]``, in any order, of symmetric matrices ``[n, size, size]``.
    """
    finite = np.isfinite(weights).all(axis=(1, 2), keepdims=True)
    exact = np.where(finite, weights, 0.0).astype(np.float64)
    # Eigenvalues of the smaller Gram matrix are ten times cheaper; what they lose adds less than 1e-6 to the entropy.
    turned = exact.transpose(0, 2, 1)
    gram = turned @ exact if exact.shape[1] >= exact.shape[2] else exact @ turned
    values = np.sqrt(eigenvalues(gram).clip(min=0.0))
    total = values.sum(axis=1, keepdims=True)
    share = np.divide(values, total, out=np.zeros_like(values), where=total > 0.0)
    entropy = -(share * np.log(share, out=np.zeros_like(share), where=share > 0.0)).sum(axis=1)
    return [float(np.exp(nats)) if some else None for nats, some in zip(entropy, total[:, 0] > 0.0, strict=True)]


def relative_changes(before: FloatArray, after: FloatArray) -> list[float | None]:
    """||after - before|| / ||before|| for each of ``[n, ...]``, Frobenius norms; None where `before` is zero."""
    start = before.reshape(len(before), -1).astype(np.float64)
    apart = after.reshape(len(after), -1) - start
    moved, norms = (np.sqrt(np.einsum("ni,ni->n", rows, rows)) for rows in (apart, start))
    return [None if norm == 0.0 else float(by / norm) for by, norm in zip(moved, norms, strict=True)]
