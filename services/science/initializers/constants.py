"""Weights without randomness that depend on nothing: the study of broken symmetry."""

from typing import ClassVar, Literal

import numpy as np

from services.science.initializers.base import BaseInitializer, FloatArray, LayerContext, Moments, Shape


class Zeros(BaseInitializer):
    """Every weight is zero: the units of a layer stay identical, and behind relu no weight ever gets a gradient."""

    kind: Literal["zeros"] = "zeros"

    formula: ClassVar[str] = "w = 0"
    gain_note: ClassVar[str] = "sigma_w^2 = 0: nothing passes the layer"
    references: ClassVar[tuple[str, ...]] = ("Keras Zeros; torch.nn.init.zeros_",)

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return np.zeros(shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return Moments(0.0, 0.0, 0.0, 0.0)
