"""Random weights whose scale ignores the width of the layer: Keras's, PyTorch's and the founding studies'."""

import math
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.special import ndtr

from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Moments, Shape
from services.science.initializers.distributions import (
    TRUNCATED_STD,
    NormalDraw,
    draw_standard_truncated,
    normal_moments,
    uniform_moments,
)


class RandomUniform(BaseInitializer):
    """Keras's RandomUniform: uniform on [minval, maxval), by default within 0.05 of zero."""

    kind: Literal["random_uniform"] = "random_uniform"
    minval: float = Field(default=-0.05, ge=-LARGEST, le=LARGEST)
    maxval: float = Field(default=0.05, ge=-LARGEST, le=LARGEST)

    formula = "U(minval, maxval)"
    gain_note = "sigma_w^2 = fan_in (maxval - minval)^2 / 12: 0.042 at fan-in 50, 1 only at fan-in 1200"
    references = ("Keras RandomUniform",)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minval > self.maxval:
            raise ValueError(f"minval must not exceed maxval, but {self.minval:g} > {self.maxval:g}")
        return self

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return rng.uniform(self.minval, self.maxval, shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return uniform_moments(self.minval, self.maxval)


class RandomNormal(BaseInitializer):
    """Keras's RandomNormal: normal with a standard deviation of 0.05, not truncated."""

    kind: Literal["random_normal"] = "random_normal"
    mean: float = Field(default=0.0, ge=-LARGEST, le=LARGEST)
    stddev: float = Field(default=0.05, ge=0.0, le=LARGEST)

    formula = "N(mean, stddev^2)"
    gain_note = "sigma_w^2 = fan_in stddev^2: 0.125 at fan-in 50, beyond he_normal from fan-in 800"
    references = ("Keras RandomNormal",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return rng.normal(self.mean, self.stddev, shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return normal_moments(self.mean, self.stddev)


class TruncatedNormal(BaseInitializer):
    """Keras's TruncatedNormal: normal, cut at two of its standard deviations, its variance not corrected.

    What is left has a standard deviation of 0.8796 stddev.
    """

    kind: Literal["truncated_normal"] = "truncated_normal"
    mean: float = Field(default=0.0, ge=-LARGEST, le=LARGEST)
    stddev: float = Field(default=0.05, ge=0.0, le=LARGEST, description="Before the truncation.")

    formula = "N(mean, stddev^2) within mean +- 2 stddev"
    gain_note = "sigma_w^2 = 0.774 fan_in stddev^2"
    references = ("Keras TruncatedNormal",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return self.mean + self.stddev * draw_standard_truncated(shape, rng, -2.0, 2.0)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        reach = 2.0 * self.stddev
        return Moments(self.mean, TRUNCATED_STD * self.stddev, self.mean - reach, self.mean + reach)


class Uniform(BaseInitializer):
    """PyTorch's uniform_: uniform on [low, high), by default [0, 1), all weights positive."""

    kind: Literal["uniform"] = "uniform"
    low: float = Field(default=0.0, ge=-LARGEST, le=LARGEST, description="PyTorch's a.")
    high: float = Field(default=1.0, ge=-LARGEST, le=LARGEST, description="PyTorch's b.")

    formula = "U(low, high)"
    gain_note = "sigma_w^2 = fan_in (high - low)^2 / 12, and unless low = -high a mean that every layer multiplies"
    references = ("torch.nn.init.uniform_",)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, but {self.low:g} > {self.high:g}")
        return self

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return rng.uniform(self.low, self.high, shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return uniform_moments(self.low, self.high)


class Normal(BaseInitializer):
    """PyTorch's normal_: by default a standard normal, for any width."""

    kind: Literal["normal"] = "normal"
    mean: float = Field(default=0.0, ge=-LARGEST, le=LARGEST)
    std: float = Field(default=1.0, ge=0.0, le=LARGEST)

    formula = "N(mean, std^2)"
    gain_note = "sigma_w^2 = fan_in std^2"
    references = ("torch.nn.init.normal_",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return rng.normal(self.mean, self.std, shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return normal_moments(self.mean, self.std)


class TruncNormal(BaseInitializer):
    """PyTorch's trunc_normal_: normal within the absolute bounds [a, b], whatever the deviation."""

    kind: Literal["trunc_normal"] = "trunc_normal"
    mean: float = Field(default=0.0, ge=-LARGEST, le=LARGEST)
    std: float = Field(default=1.0, gt=0.0, le=LARGEST, description="Before the truncation.")
    a: float = Field(default=-2.0, ge=-LARGEST, le=LARGEST, description="Lower bound of a weight.")
    b: float = Field(default=2.0, ge=-LARGEST, le=LARGEST, description="Upper bound of a weight.")

    formula = "N(mean, std^2) within [a, b]"
    gain_note = "with the bounds at -2 and 2 a small std is not truncated at all: the bounds are absolute"
    references = ("torch.nn.init.trunc_normal_",)

    @model_validator(mode="after")
    def _within_reach(self) -> Self:
        if self.a >= self.b:
            raise ValueError(f"a must be below b, but {self.a:g} >= {self.b:g}")
        # Farther out the distribution function has no digits left to invert.
        if self._low > 6.0 or self._high < -6.0:
            raise ValueError(
                f"[a, b] must reach within six std of the mean {self.mean:g}, not [{self.a:g}, {self.b:g}]"
            )
        return self

    @property
    def _low(self) -> float:
        return (self.a - self.mean) / self.std

    @property
    def _high(self) -> float:
        return (self.b - self.mean) / self.std

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return np.clip(
            self.mean + self.std * draw_standard_truncated(shape, rng, self._low, self._high), self.a, self.b
        )

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        # Johnson, Kotz & Balakrishnan 1994, section 10.1: moments of a doubly truncated normal.
        low, high = self._low, self._high
        # In the upper tail the difference of the mirrored values keeps the digits.
        mass = float(ndtr(-low) - ndtr(-high) if low > 0 else ndtr(high) - ndtr(low))
        at_low, at_high = _density(low), _density(high)
        shift = (at_low - at_high) / mass
        variance = 1.0 + (low * at_low - high * at_high) / mass - shift**2
        return Moments(self.mean + self.std * shift, self.std * math.sqrt(max(variance, 0.0)), self.a, self.b)


def _density(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


class ScaledNormal(NormalDraw):
    """A standard normal times a constant: 0.01, 1 and 10 are the classroom's too small, lucky and too large."""

    kind: Literal["scaled_normal"] = "scaled_normal"
    scale: float = Field(default=0.01, ge=0.0, le=LARGEST)

    formula = "scale N(0, 1)"
    gain_note = "sigma_w^2 = fan_in scale^2"
    references = ("Krizhevsky, Sutskever & Hinton 2012, ImageNet classification, section 5 (0.01)",)

    def std(self, context: LayerContext) -> float:
        return self.scale


class DepthScaled(NormalDraw):
    """Normal with a fixed deviation, and in the layer that closes a residual branch 1/sqrt(branches) of it.

    With `residual_branches` additions the sum of the branches keeps the variance of one. A network without residual
    branches gets the plain deviation everywhere.
    """

    kind: Literal["depth_scaled"] = "depth_scaled"
    stddev: float = Field(default=0.02, ge=0.0, le=LARGEST)

    formula = "N(0, stddev^2), and N(0, stddev^2 / branches) where a residual branch ends"
    gain_note = "GPT-2 has two branches in each of its layers, hence its 1 / sqrt(2 layers)"
    references = ("Radford, Wu, Child, Luan, Amodei & Sutskever 2019, Language models are unsupervised, section 2.3",)

    def std(self, context: LayerContext) -> float:
        """Standard deviation in this layer."""
        closes = context.is_residual_last and context.residual_branches > 0
        return self.stddev / math.sqrt(context.residual_branches) if closes else self.stddev
