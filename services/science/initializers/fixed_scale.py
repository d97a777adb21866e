"""Random weights whose scale ignores the width of the layer."""

import math
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from services.science.initializers.base import BaseInitializer, FloatArray, LayerContext, Moments, Shape
from services.science.initializers.distributions import draw_normal, normal_moments

LARGEST = 1e6
"""Weights beyond this overflow float32 within a layer or two: a slip, not a study."""


class RandomUniform(BaseInitializer):
    """Keras's RandomUniform: uniform on [minval, maxval), by default within 0.05 of zero."""

    kind: Literal["random_uniform"] = "random_uniform"
    minval: float = Field(default=-0.05, ge=-LARGEST, le=LARGEST)
    maxval: float = Field(default=0.05, ge=-LARGEST, le=LARGEST)

    formula: ClassVar[str] = "U(minval, maxval)"
    gain_note: ClassVar[str] = "sigma_w^2 = fan_in (maxval - minval)^2 / 12: 0.042 at fan-in 50, 1 only at fan-in 1200"
    references: ClassVar[tuple[str, ...]] = ("Keras RandomUniform",)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.minval > self.maxval:
            raise ValueError(f"minval must not exceed maxval, but {self.minval:g} > {self.maxval:g}")
        return self

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return rng.uniform(self.minval, self.maxval, shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        mean = (self.minval + self.maxval) / 2
        return Moments(mean, (self.maxval - self.minval) / math.sqrt(12.0), self.minval, self.maxval)


class RandomNormal(BaseInitializer):
    """Keras's RandomNormal: normal with a standard deviation of 0.05, not truncated."""

    kind: Literal["random_normal"] = "random_normal"
    mean: float = Field(default=0.0, ge=-LARGEST, le=LARGEST)
    stddev: float = Field(default=0.05, ge=0.0, le=LARGEST)

    formula: ClassVar[str] = "N(mean, stddev^2)"
    gain_note: ClassVar[str] = "sigma_w^2 = fan_in stddev^2: 0.125 at fan-in 50, beyond he_normal from fan-in 800"
    references: ClassVar[tuple[str, ...]] = ("Keras RandomNormal",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return draw_normal(shape, rng, self.stddev, self.mean)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return normal_moments(self.stddev, self.mean)
