"""How a weight of any shape is seen as one matrix, or as the matrix at the middle tap of a kernel."""

import math

import numpy as np

from services.science.initializers.base import FloatArray, Shape


def matrix_shape(kind: str, shape: Shape) -> tuple[int, int]:
    """The shape of the matrix a weight flattens to: dense as it is, a kernel to (out, in * window).

    Raises:
        ValueError: fewer than two axes.
    """
    if len(shape) < 2:
        raise ValueError(f"{kind} needs a weight of at least two axes, not shape {shape}")
    return shape[0], math.prod(shape[1:])


def centre_tap(shape: Shape, matrix: FloatArray) -> FloatArray:
    """A kernel that is zero but for its middle tap, which maps channels by `matrix` of shape (out, in)."""
    kernel = np.zeros(shape)
    kernel[(slice(None), slice(None), *(size // 2 for size in shape[2:]))] = matrix
    return kernel
