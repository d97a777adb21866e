"""Activations that remove small signals and pass large ones."""

from typing import Literal

import numpy as np
from pydantic import Field

from services.science.activations.advice import PRESERVING
from services.science.activations.base import BaseActivation, FloatArray

VANISHES = "Removes small signals: once a layer's scale starts to fall, nothing is left a few layers on."


class HardShrink(BaseActivation):
    """x outside [-lambd, lambd], else 0; jumps at both ends."""

    kind: Literal["hard_shrink"] = "hard_shrink"
    lambd: float = Field(default=0.5, ge=0.0, le=1e3, description="PyTorch's name for the half width.")

    formula = "x if |x| > lambd else 0"
    limits = ("x", "x")
    references = ("Donoho & Johnstone 1994, Ideal spatial adaptation by wavelet shrinkage",)
    failure = VANISHES
    recommended_initializers = (PRESERVING,)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-self.lambd, self.lambd)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(np.abs(x) > self.lambd, x, 0.0)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(np.abs(x) > self.lambd, 1.0, 0.0)


class SoftShrink(BaseActivation):
    """x moved by lambd towards 0, and 0 within [-lambd, lambd]."""

    kind: Literal["soft_shrink"] = "soft_shrink"
    lambd: float = Field(default=0.5, ge=0.0, le=1e3, description="PyTorch's name for the half width.")

    formula = "sign(x) max(0, |x| - lambd)"
    limits = ("x + lambd", "x - lambd")
    references = ("Donoho & Johnstone 1994, Ideal spatial adaptation by wavelet shrinkage",)
    failure = VANISHES
    recommended_initializers = (PRESERVING,)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-self.lambd, self.lambd)

    def value(self, x: FloatArray) -> FloatArray:
        return x - np.clip(x, -self.lambd, self.lambd)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(np.abs(x) > self.lambd, 1.0, 0.0)


class TanhShrink(BaseActivation):
    """x - tanh(x), x^3 / 3 near the origin; derivative tanh(x)^2."""

    kind: Literal["tanh_shrink"] = "tanh_shrink"

    formula = "x - tanh(x)"
    limits = ("x + 1", "x - 1")
    references = ("torch.nn.Tanhshrink; keras.activations.tanh_shrink",)
    failure = VANISHES
    recommended_initializers = (PRESERVING,)

    def value(self, x: FloatArray) -> FloatArray:
        return x - np.tanh(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.square(np.tanh(x))
