"""Piecewise linear activations that open on the positive side."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.activations.base import BaseActivation, FloatArray, Recommendation

HE_2015 = "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers"
HE_UNIFORM = Recommendation("he_uniform", "sigma_w^2 = 2 keeps the second moment of every layer", f"{HE_2015}, eq. 10")
HE_NORMAL = Recommendation("he_normal", "the same variance with a (truncated) normal shape", f"{HE_2015}, eq. 10")


class Relu(BaseActivation):
    """The rectifier max(0, x); derivative 1 for x > 0, else 0 (0 at the kink)."""

    kind: Literal["relu"] = "relu"

    formula: ClassVar[str] = "max(0, x)"
    range: ClassVar[tuple[float | None, float | None]] = (0.0, None)
    limits: ClassVar[tuple[str, str]] = ("0", "x")
    references: ClassVar[tuple[str, ...]] = (
        "Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines",
        "Glorot, Bordes & Bengio 2011, Deep sparse rectifier neural networks",
        HE_2015,
    )
    failure: ClassVar[str] = (
        "Units whose pre-activation is negative on every row get no gradient and stay dead; "
        "correlations between inputs tend to one with depth."
    )
    recommended_initializers: ClassVar[tuple[Recommendation, ...]] = (HE_UNIFORM, HE_NORMAL)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def value(self, x: FloatArray) -> FloatArray:
        return np.maximum(x, 0.0)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, 1.0, 0.0)


class LeakyRelu(BaseActivation):
    """x for x > 0, else negative_slope * x; the slope counts as negative_slope at the kink."""

    kind: Literal["leaky_relu"] = "leaky_relu"
    negative_slope: float = Field(default=0.01, ge=-1.0, le=1.0, description="Slope for x <= 0.")

    formula: ClassVar[str] = "x if x > 0 else negative_slope * x"
    range: ClassVar[tuple[float | None, float | None]] = (None, None)
    limits: ClassVar[tuple[str, str]] = ("negative_slope * x", "x")
    references: ClassVar[tuple[str, ...]] = (
        "Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models",
        f"{HE_2015}, eq. 14",
    )
    failure: ClassVar[str] = "Close to relu for small slopes; a slope of one is linear."
    recommended_initializers: ClassVar[tuple[Recommendation, ...]] = (
        Recommendation(
            "kaiming_uniform", "with the same negative_slope: sigma_w^2 = 2 / (1 + negative_slope^2)", HE_2015
        ),
        Recommendation("he_uniform", "nearly exact for small slopes", HE_2015),
    )

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def bounds(self) -> tuple[float | None, float | None]:
        return (None if self.negative_slope > 0 else 0.0, None)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, x, self.negative_slope * x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, 1.0, self.negative_slope)
