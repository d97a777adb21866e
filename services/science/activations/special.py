"""Functions that several activations need, in forms that neither overflow nor cancel."""

import math

import numpy as np
from scipy.special import expit

from services.science.activations.base import FloatArray


def softplus(x: FloatArray) -> FloatArray:
    """log(1 + exp(x))."""
    return np.logaddexp(0.0, x)


def sech_squared(x: FloatArray) -> FloatArray:
    """1 - tanh(x)^2, as 4 s(2x) s(-2x): the difference itself cancels to zero in the tails."""
    return 4.0 * expit(2.0 * x) * expit(-2.0 * x)


def normal_density(x: FloatArray) -> FloatArray:
    """The standard normal density."""
    return np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
