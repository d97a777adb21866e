"""Keras's Glorot, He and LeCun initializers: a variance set by the fans, uniform or truncated normal."""

import math
from typing import Literal

import numpy as np
from pydantic import Field

from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Moments, Shape
from services.science.initializers.distributions import (
    TRUNCATED_STD,
    TruncatedDraw,
    UniformDraw,
    draw_standard_truncated,
)

GLOROT_2010 = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, eq. 16"
HE_2015 = "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, eq. 10"
LECUN_1998 = "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, eq. 16"
KLAMBAUER_2017 = "Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks"
GLOROT_GAIN = "sigma_w^2 = 2 fan_in / (fan_in + fan_out), 1 in a square layer: for tanh and other units of unit slope"
HE_GAIN = "sigma_w^2 = 2: for relu, which passes half of the second moment"
LECUN_GAIN = "sigma_w^2 = 1: for selu, and for units of unit slope"


class GlorotUniform(UniformDraw):
    """Uniform within sqrt(6 / (fan_in + fan_out)); variance 2 / (fan_in + fan_out)."""

    kind: Literal["glorot_uniform"] = "glorot_uniform"

    formula = "U(-limit, limit), limit = sqrt(6 / (fan_in + fan_out))"
    fan_convention = "fan_in + fan_out"
    gain_note = GLOROT_GAIN
    references = (GLOROT_2010,)

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(6.0 / (context.fan_in + context.fan_out))


class GlorotNormal(TruncatedDraw):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    kind: Literal["glorot_normal"] = "glorot_normal"

    formula = "N(0, 2 / (fan_in + fan_out)), truncated at two deviations, variance corrected"
    fan_convention = "fan_in + fan_out"
    gain_note = GLOROT_GAIN
    references = (GLOROT_2010,)

    def std(self, context: LayerContext) -> float:
        return math.sqrt(2.0 / (context.fan_in + context.fan_out))


class HeUniform(UniformDraw):
    """Uniform within sqrt(6 / fan_in); variance 2 / fan_in."""

    kind: Literal["he_uniform"] = "he_uniform"

    formula = "U(-limit, limit), limit = sqrt(6 / fan_in)"
    fan_convention = "fan_in"
    gain_note = HE_GAIN
    references = (HE_2015,)

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(6.0 / context.fan_in)


class HeNormal(TruncatedDraw):
    """Truncated normal of variance 2 / fan_in."""

    kind: Literal["he_normal"] = "he_normal"

    formula = "N(0, 2 / fan_in), truncated at two deviations, variance corrected"
    fan_convention = "fan_in"
    gain_note = HE_GAIN
    references = (HE_2015,)

    def std(self, context: LayerContext) -> float:
        return math.sqrt(2.0 / context.fan_in)


class LecunUniform(UniformDraw):
    """Uniform within sqrt(3 / fan_in); variance 1 / fan_in."""

    kind: Literal["lecun_uniform"] = "lecun_uniform"

    formula = "U(-limit, limit), limit = sqrt(3 / fan_in)"
    fan_convention = "fan_in"
    gain_note = LECUN_GAIN
    references = (LECUN_1998,)

    def limit(self, context: LayerContext) -> float:
        return math.sqrt(3.0 / context.fan_in)


class LecunNormal(TruncatedDraw):
    """Truncated normal of variance 1 / fan_in."""

    kind: Literal["lecun_normal"] = "lecun_normal"

    formula = "N(0, 1 / fan_in), truncated at two deviations, variance corrected"
    fan_convention = "fan_in"
    gain_note = LECUN_GAIN
    references = (LECUN_1998, KLAMBAUER_2017)

    def std(self, context: LayerContext) -> float:
        return math.sqrt(1.0 / context.fan_in)


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

    def std(self, context: LayerContext) -> float:
        """Standard deviation of a weight, after any truncation."""
        average = (context.fan_in + context.fan_out) / 2
        fan = {"fan_in": context.fan_in, "fan_out": context.fan_out, "fan_avg": average}[self.mode]
        return math.sqrt(self.scale / fan)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        std = self.std(context)
        if self.distribution == "truncated_normal":
            return draw_standard_truncated(shape, rng, -2.0, 2.0) * (std / TRUNCATED_STD)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, std, shape)
        return rng.uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std, shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        std = self.std(context)
        bounds = {
            "truncated_normal": 2.0 / TRUNCATED_STD * std,
            "untruncated_normal": None,
            "uniform": math.sqrt(3.0) * std,
        }
        bound = bounds[self.distribution]
        return Moments(0.0, std, None if bound is None else -bound, bound)
