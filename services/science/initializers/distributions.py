"""The three distributions that nearly every initializer draws from: a member only says how wide."""

import math
from abc import abstractmethod

import numpy as np
from scipy.special import ndtr, ndtri

from services.science.initializers.base import BaseInitializer, FloatArray, LayerContext, Moments, Shape

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal truncated at two: sqrt(1 - 4 pdf(2) / (2 cdf(2) - 1)), as Keras writes it."""


def draw_standard_truncated(shape: Shape, rng: np.random.Generator, low: float, high: float) -> FloatArray:
    """Standard normal truncated to (low, high), by the inverse of its distribution function."""
    return np.clip(ndtri(rng.uniform(ndtr(low), ndtr(high), shape)), low, high)


def uniform_moments(low: float, high: float) -> Moments:
    """Moments of a uniform on (low, high)."""
    return Moments((low + high) / 2.0, (high - low) / math.sqrt(12.0), low, high)


def normal_moments(mean: float, std: float) -> Moments:
    """Moments of a normal, not truncated."""
    return Moments(mean, std, None, None) if std > 0 else Moments(mean, 0.0, mean, mean)


class UniformDraw(BaseInitializer):
    """`rng.uniform(-limit, limit, shape)`."""

    @abstractmethod
    def limit(self, context: LayerContext) -> float:
        """Half the width of the distribution."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        limit = self.limit(context)
        return rng.uniform(-limit, limit, shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        limit = self.limit(context)
        return uniform_moments(-limit, limit)


class NormalDraw(BaseInitializer):
    """`rng.normal(0, std, shape)`, not truncated."""

    @abstractmethod
    def std(self, context: LayerContext) -> float:
        """Standard deviation of a weight."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return rng.normal(0.0, self.std(context), shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return normal_moments(0.0, self.std(context))


class TruncatedDraw(BaseInitializer):
    """Normal truncated at two of its deviations, widened so that what is left has deviation `std`.

    `ndtri(rng.uniform(ndtr(-2), ndtr(2), shape)) * std / 0.87962566103423978`.
    """

    @abstractmethod
    def std(self, context: LayerContext) -> float:
        """Standard deviation of a weight, after the truncation."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return draw_standard_truncated(shape, rng, -2.0, 2.0) * (self.std(context) / TRUNCATED_STD)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        std = self.std(context)
        bound = 2.0 * std / TRUNCATED_STD
        return Moments(0.0, std, -bound, bound)
