"""The three distributions that nearly every initializer draws from, and their moments."""

import math

import numpy as np
from scipy.special import ndtr, ndtri

from services.science.initializers.base import FloatArray, Moments, Shape

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal truncated at two: sqrt(1 - 4 pdf(2) / (2 cdf(2) - 1)), as Keras writes it."""


def draw_uniform(shape: Shape, rng: np.random.Generator, limit: float) -> FloatArray:
    """Uniform on (-limit, limit)."""
    return rng.uniform(-limit, limit, shape)


def draw_normal(shape: Shape, rng: np.random.Generator, std: float, mean: float = 0.0) -> FloatArray:
    """Normal, not truncated."""
    return rng.normal(mean, std, shape)


def draw_standard_truncated(shape: Shape, rng: np.random.Generator, low: float, high: float) -> FloatArray:
    """Standard normal truncated to (low, high), by the inverse of its distribution function."""
    return np.clip(ndtri(rng.uniform(ndtr(low), ndtr(high), shape)), low, high)


def draw_truncated_normal(shape: Shape, rng: np.random.Generator, std: float) -> FloatArray:
    """Normal truncated at two of its standard deviations, widened so that what is left has deviation `std`."""
    return draw_standard_truncated(shape, rng, -2.0, 2.0) * (std / TRUNCATED_STD)


def uniform_moments(limit: float) -> Moments:
    """Moments of `draw_uniform`."""
    return Moments(0.0, limit / math.sqrt(3.0), -limit, limit)


def normal_moments(std: float, mean: float = 0.0) -> Moments:
    """Moments of `draw_normal`."""
    return Moments(mean, std, None, None) if std > 0 else Moments(mean, 0.0, mean, mean)


def truncated_normal_moments(std: float) -> Moments:
    """Moments of `draw_truncated_normal`."""
    bound = 2.0 * std / TRUNCATED_STD
    return Moments(0.0, std, -bound, bound)
