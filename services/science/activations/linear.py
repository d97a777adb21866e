"""The identity, and other activations that grow without end on both sides."""

from typing import Literal

import numpy as np

from services.science.activations.advice import GLOROT_UNIFORM, LECUN_NORMAL, PRESERVING
from services.science.activations.base import BaseActivation, FloatArray, Recommendation


class Identity(BaseActivation):
    """No non-linearity: a deep linear network, the baseline that theory solves exactly."""

    kind: Literal["identity"] = "identity"

    formula = "x"
    limits = ("x", "x")
    references = (
        "Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning in deep linear nets",
    )
    failure = "The whole network is one linear map, whatever its depth."
    recommended_initializers = (
        Recommendation("orthogonal", "every singular value of every layer is one", "Saxe et al. 2014, section 3"),
        LECUN_NORMAL,
    )

    def value(self, x: FloatArray) -> FloatArray:
        return np.array(x, dtype=np.float64)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.ones_like(x)


class BentIdentity(BaseActivation):
    """A line with a bend: slope 1/2 far left, 3/2 far right."""

    kind: Literal["bent_identity"] = "bent_identity"

    formula = "(sqrt(x^2 + 1) - 1) / 2 + x"
    limits = ("x / 2", "3 x / 2")
    references = ("Godfrey 2019, An evaluation of parametric activation functions for deep learning",)
    failure = "Nearly linear: deep networks gain little from it, and signals grow slowly at sigma_w^2 = 1."
    recommended_initializers = (PRESERVING, GLOROT_UNIFORM)

    def value(self, x: FloatArray) -> FloatArray:
        return (np.hypot(x, 1.0) - 1.0) / 2.0 + x

    def derivative(self, x: FloatArray) -> FloatArray:
        return x / (2.0 * np.hypot(x, 1.0)) + 1.0


class Arcsinh(BaseActivation):
    """The inverse hyperbolic sine: linear at the origin, logarithmic far out; derivative 1 / sqrt(1 + x^2)."""

    kind: Literal["arcsinh"] = "arcsinh"

    formula = "log(x + sqrt(x^2 + 1))"
    limits = ("-log(-2 x)", "log(2 x)")
    references = ("Burbidge, Magee & Robb 1988, Alternative transformations to handle extreme values",)
    failure = "Never saturates, but gradients fall as 1/x far out."
    recommended_initializers = (GLOROT_UNIFORM, PRESERVING)

    def value(self, x: FloatArray) -> FloatArray:
        return np.arcsinh(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return 1.0 / np.hypot(x, 1.0)
