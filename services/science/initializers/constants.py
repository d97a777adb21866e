"""Weights without randomness that depend on nothing: the study of broken symmetry."""

from typing import Literal

import numpy as np
from pydantic import Field

from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Moments, Shape

SAME = "the units of a layer start identical and stay so: every layer has rank one"


class Zeros(BaseInitializer):
    """Every weight is zero: the units of a layer stay identical, and behind relu no weight ever gets a gradient."""

    kind: Literal["zeros"] = "zeros"

    formula = "w = 0"
    gain_note = "sigma_w^2 = 0: nothing passes the layer"
    references = ("Keras Zeros; torch.nn.init.zeros_",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return np.zeros(shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return Moments(0.0, 0.0, 0.0, 0.0)


class Ones(BaseInitializer):
    """Every weight is one."""

    kind: Literal["ones"] = "ones"

    formula = "w = 1"
    gain_note = SAME
    references = ("Keras Ones; torch.nn.init.ones_",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return np.ones(shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return Moments(1.0, 0.0, 1.0, 1.0)


class Constant(BaseInitializer):
    """Every weight is the same number."""

    kind: Literal["constant"] = "constant"
    value: float = Field(default=0.5, ge=-LARGEST, le=LARGEST, description="Keras's default is 0; PyTorch has none.")

    formula = "w = value"
    gain_note = SAME
    references = ("Keras Constant; torch.nn.init.constant_",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return np.full(shape, self.value)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return Moments(self.value, 0.0, self.value, self.value)
