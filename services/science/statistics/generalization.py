"""Generalization gap: validation minus training, at the same weights."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def generalization_gap(validation: ArrayLike, training: ArrayLike) -> Floats:
    """Validation minus training, elementwise; NaN where either is absent.

    For a loss a positive gap is overfitting; for an accuracy or r2 a negative one is. A `train_loss` that is averaged
    over the epoch is older than the validation loss after it, which makes the gap of a fast-learning epoch too small.

    Raises:
        ValueError: different shapes.
    """
    v, t = np.asarray(validation, dtype=np.float64), np.asarray(training, dtype=np.float64)
    if v.shape != t.shape:
        raise ValueError(f"validation and training must have the same shape, not {v.shape} and {t.shape}")
    return v - t
