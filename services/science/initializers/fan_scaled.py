"""Keras's Glorot, He and LeCun initializers: a variance set by the fans, uniform or truncated normal."""

import math
from abc import abstractmethod
from typing import Literal

import numpy as np
from pydantic import Field

from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Moments, Shape
from services.science.initializers.distributions import (
    draw_normal,
    draw_truncated_normal,
    draw_uniform,
    normal_moments,
    truncated_normal_moments,
    uniform_moments,
)

GLOROT_2010 = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, eq. 16"
HE_2015 = "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, eq. 10"
LECUN_1998 = "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, eq. 16"
KLAMBAUER_2017 = "Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks"
GLOROT_GAIN = "sigma_w^2 = 2 fan_in / (fan_in + fan_out), 1 in a square layer: for tanh and other units of unit slope"
HE_GAIN = "sigma_w^2 = 2: for relu, which passes half of the second moment"
LECUN_GAIN = "sigma_w^2 = 1: for selu, and for units of unit slope"


class UniformByFan(BaseInitializer):
    """Uniform on (-limit, limit), the limit a function of the fans."""

    @abstractmethod
    def limit(self, context: LayerContext) -> float:
        """Half the width of the distribution."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return draw_uniform(shape, rng, self.limit(context))

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return uniform_moments(self.limit(context))


class TruncatedNormalByFan(BaseInitializer):
    """Normal truncated at two standard deviations with its variance corrected, the variance a function of the fans."""

    @abstractmethod
    def variance(self, context: LayerContext) -> float:
        """Variance after the truncation."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return draw_truncated_normal(shape, rng, math.sqrt(self.variance(context)))

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return truncated_normal_moments(math.sqrt(self.variance(context)))


class GlorotUniform(UniformByFan):
    """Uniform within sqrt(6 / (fan_in + fan_out)); variance 2 / (fan_in + fan_out)."""

    kind: Literal["glorot_uniform"] = "glorot_uniform"

    formula = "U(-limit, limit), limit = sqrt(6 / (fan_in + fan_out))"
    fan_convention = "fan_in + fan_out"
    gain_note = GLOROT_GAIN
    references = (GLOROT_2010,)

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(6.0 / (context.fan_in + context.fan_out))


class GlorotNormal(TruncatedNormalByFan):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    kind: Literal["glorot_normal"] = "glorot_normal"

    formula = "N(0, 2 / (fan_in + fan_out)), truncated at two deviations, variance corrected"
    fan_convention = "fan_in + fan_out"
    gain_note = GLOROT_GAIN
    references = (GLOROT_2010,)

    def variance(self, context: LayerContext) -> float:
        return 2.0 / (context.fan_in + context.fan_out)


class HeUniform(UniformByFan):
    """Uniform within sqrt(6 / fan_in); variance 2 / fan_in."""

    kind: Literal["he_uniform"] = "he_uniform"

    formula = "U(-limit, limit), limit = sqrt(6 / fan_in)"
    fan_convention = "fan_in"
    gain_note = HE_GAIN
    references = (HE_2015,)

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(6.0 / context.fan_in)


class HeNormal(TruncatedNormalByFan):
    """Truncated normal of variance 2 / fan_in."""

    kind: Literal["he_normal"] = "he_normal"

    formula = "N(0, 2 / fan_in), truncated at two deviations, variance corrected"
    fan_convention = "fan_in"
    gain_note = HE_GAIN
    references = (HE_2015,)

    def variance(self, context: LayerContext) -> float:
        return 2.0 / context.fan_in


class LecunUniform(UniformByFan):
    """Uniform within sqrt(3 / fan_in); variance 1 / fan_in."""

    kind: Literal["lecun_uniform"] = "lecun_uniform"

    formula = "U(-limit, limit), limit = sqrt(3 / fan_in)"
    fan_convention = "fan_in"
    gain_note = LECUN_GAIN
    references = (LECUN_1998,)

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(3.0 / context.fan_in)


class LecunNormal(TruncatedNormalByFan):
    """Truncated normal of variance 1 / fan_in."""

    kind: Literal["lecun_normal"] = "lecun_normal"

    formula = "N(0, 1 / fan_in), truncated at two deviations, variance corrected"
    fan_convention = "fan_in"
    gain_note = LECUN_GAIN
    references = (LECUN_1998, KLAMBAUER_2017)

    def variance(self, context: LayerContext) -> float:
        return 1.0 / context.fan_in


class VarianceScaling(BaseInitializer):
    """Keras's VarianceScaling, which the six above are cases of: variance scale / fan, the shape of your choice."""

    kind: Literal["variance_scaling"] = "variance_scaling"
    scale: float = Field(default=1.0, gt=0.0, le=LARGEST)
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"

    formula = "variance = scale / fan"
    fan_convention = "mode: fan_in, fan_out or their mean"
    gain_note = "sigma_w^2 = scale with fan_in: 1 as lecun, 2 as he; with fan_avg 1 as glorot"
    references = ("Keras VarianceScaling, whose distribution 'normal' means truncated_normal",)

    def variance(self, context: LayerContext) -> float:
        """Variance of a weight."""
        average = (context.fan_in + context.fan_out) / 2
        return self.scale / {"fan_in": context.fan_in, "fan_out": context.fan_out, "fan_avg": average}[self.mode]

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        std = math.sqrt(self.variance(context))
        if self.distribution == "truncated_normal":
            return draw_truncated_normal(shape, rng, std)
        if self.distribution == "untruncated_normal":
            return draw_normal(shape, rng, std)
        return draw_uniform(shape, rng, math.sqrt(3.0) * std)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        std = math.sqrt(self.variance(context))
        if self.distribution == "truncated_normal":
            return truncated_normal_moments(std)
        return (
            normal_moments(std) if self.distribution == "untruncated_normal" else uniform_moments(math.sqrt(3.0) * std)
        )
