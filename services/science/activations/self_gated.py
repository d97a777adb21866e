"""Smooth activations of the form x g(x), where the gate g opens from 0 to 1."""

import math
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import erf, expit, ndtr

from services.science.activations.advice import CRITICAL, NEAR_HE, PRESERVING, RAMACHANDRAN_2017
from services.science.activations.base import BaseActivation, FloatArray
from services.science.activations.special import normal_density, sech_squared, softplus

SILU_MINIMUM = -0.2784645427610738
"""At x = -1.2784645, where x = -1 - exp(x)."""
SENSITIVE = (
    "Small signals are halved, large ones pass as in relu: the critical point is half-stable, so depth exaggerates "
    "small errors of scale in both directions."
)


class Gelu(BaseActivation):
    """x times the standard normal distribution function; `approximate: tanh` is the paper's cheaper form."""

    kind: Literal["gelu"] = "gelu"
    approximate: Literal["none", "tanh"] = "none"

    formula = "x Phi(x), or x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2"
    range = (-0.16997120747990369, None)
    limits = ("0", "x")
    references = ("Hendrycks & Gimpel 2016, Gaussian error linear units",)
    failure = SENSITIVE
    recommended_initializers = (NEAR_HE, PRESERVING, CRITICAL)

    def bounds(self) -> tuple[float | None, float | None]:
        return (-0.16997120747990369 if self.approximate == "none" else -0.17004075057125406, None)

    def value(self, x: FloatArray) -> FloatArray:
        if self.approximate == "tanh":
            return 0.5 * x * (1.0 + np.tanh(self._inner(x)))
        return x * ndtr(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        if self.approximate == "tanh":
            inner = self._inner(x)
            slope = math.sqrt(2.0 / math.pi) * (1.0 + 3.0 * 0.044715 * np.square(x))
            return 0.5 * (1.0 + np.tanh(inner)) + 0.5 * x * sech_squared(inner) * slope
        return ndtr(x) + x * normal_density(x)

    @staticmethod
    def _inner(x: FloatArray) -> FloatArray:
        return math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)


class Silu(BaseActivation):
    """x s(beta x) with s the sigmoid: swish with a fixed beta. beta = 1.702 is the sigmoid form of gelu."""

    kind: Literal["silu"] = "silu"
    beta: float = Field(default=1.0, gt=0.0, le=100.0)

    formula = "x / (1 + exp(-beta x))"
    range = (SILU_MINIMUM, None)
    limits = ("0", "x")
    references = (
        "Elfwing, Uchibe & Doya 2018, Sigmoid-weighted linear units for reinforcement learning",
        RAMACHANDRAN_2017,
    )
    failure = SENSITIVE
    recommended_initializers = (NEAR_HE, PRESERVING, CRITICAL)

    def bounds(self) -> tuple[float | None, float | None]:
        return (SILU_MINIMUM / self.beta, None)

    def value(self, x: FloatArray) -> FloatArray:
        return x * expit(self.beta * x)

    def derivative(self, x: FloatArray) -> FloatArray:
        inner = self.beta * x
        return expit(inner) * (1.0 + inner * expit(-inner))


class HardSilu(BaseActivation):
    """x hard_sigmoid(x): 0 up to -3, x from 3 on, a parabola between."""

    kind: Literal["hard_silu"] = "hard_silu"

    formula = "x min(max(0, x + 3), 6) / 6"
    range = (-0.375, None)
    limits = ("0", "x")
    references = ("Howard et al. 2019, Searching for MobileNetV3, section 5.2",)
    failure = "Exactly no gradient below -3; small signals are halved."
    recommended_initializers = (NEAR_HE, PRESERVING, CRITICAL)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-3.0, 3.0)

    def value(self, x: FloatArray) -> FloatArray:
        return x * np.clip(x + 3.0, 0.0, 6.0) / 6.0

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x <= -3.0, 0.0, np.where(x < 3.0, x / 3.0 + 0.5, 1.0))


class Mish(BaseActivation):
    """x tanh(softplus(x))."""

    kind: Literal["mish"] = "mish"

    formula = "x tanh(log(1 + exp(x)))"
    range = (-0.3088434130172504, None)
    limits = ("0", "x")
    references = ("Misra 2020, Mish: a self regularized non-monotonic activation function",)
    failure = SENSITIVE
    recommended_initializers = (NEAR_HE, PRESERVING, CRITICAL)

    def value(self, x: FloatArray) -> FloatArray:
        return x * np.tanh(softplus(x))

    def derivative(self, x: FloatArray) -> FloatArray:
        inner = softplus(x)
        return np.tanh(inner) + x * sech_squared(inner) * expit(x)


class Serf(BaseActivation):
    """x erf(softplus(x)): mish with the error function for tanh."""

    kind: Literal["serf"] = "serf"

    formula = "x erf(log(1 + exp(x)))"
    range = (-0.3484374587596064, None)
    limits = ("0", "x")
    references = ("Nag, Bhattacharyya, Mukherjee & Kundu 2023, Serf: towards better training of deep neural networks",)
    failure = SENSITIVE
    recommended_initializers = (NEAR_HE, PRESERVING)

    def value(self, x: FloatArray) -> FloatArray:
        return x * erf(softplus(x))

    def derivative(self, x: FloatArray) -> FloatArray:
        inner = softplus(x)
        return erf(inner) + x * (2.0 / math.sqrt(math.pi)) * np.exp(-np.square(inner)) * expit(x)


class Phish(BaseActivation):
    """x tanh(gelu(x))."""

    kind: Literal["phish"] = "phish"

    formula = "x tanh(x Phi(x))"
    range = (0.0, None)
    limits = ("0", "x")
    references = ("Naveen 2022, Phish: a novel hyper-optimizable activation function",)
    failure = "Flat at the origin, where it behaves as x^2 / 2: small signals vanish within a few layers."
    recommended_initializers = (PRESERVING, NEAR_HE)

    def value(self, x: FloatArray) -> FloatArray:
        return x * np.tanh(x * ndtr(x))

    def derivative(self, x: FloatArray) -> FloatArray:
        inner = x * ndtr(x)
        return np.tanh(inner) + x * sech_squared(inner) * (ndtr(x) + x * normal_density(x))


class TanhExp(BaseActivation):
    """x tanh(exp(x)): steeper than mish near the origin."""

    kind: Literal["tanh_exp"] = "tanh_exp"

    formula = "x tanh(exp(x))"
    range = (-0.3532857778482113, None)
    limits = ("0", "x")
    references = ("Liu & Di 2020, TanhExp: a smooth activation function with high convergence speed",)
    failure = "Gradients vanish on the negative side."
    recommended_initializers = (NEAR_HE, PRESERVING)

    def value(self, x: FloatArray) -> FloatArray:
        return x * np.tanh(self._grown(x))

    def derivative(self, x: FloatArray) -> FloatArray:
        grown = self._grown(x)
        return np.tanh(grown) + x * grown * sech_squared(grown)

    @staticmethod
    def _grown(x: FloatArray) -> FloatArray:
        # From 20 on tanh(exp(x)) is 1 in float64 and its slope 0.
        return np.exp(np.minimum(x, 20.0))


class ESwish(BaseActivation):
    """silu times beta, between 1 and 2 in the paper."""

    kind: Literal["e_swish"] = "e_swish"
    beta: float = Field(default=1.5, gt=0.0, le=100.0)

    formula = "beta x / (1 + exp(-x))"
    range = (1.5 * SILU_MINIMUM, None)
    limits = ("0", "beta x")
    references = ("Alcaide 2018, E-swish: adjusting activations to different network depths",)
    failure = SENSITIVE
    recommended_initializers = (PRESERVING, CRITICAL)

    def bounds(self) -> tuple[float | None, float | None]:
        return (SILU_MINIMUM * self.beta, None)

    def value(self, x: FloatArray) -> FloatArray:
        return self.beta * x * expit(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        s = expit(x)
        return self.beta * s * (1.0 + x * expit(-x))


class Lisht(BaseActivation):
    """x tanh(x): even, never negative, close to |x| far out."""

    kind: Literal["lisht"] = "lisht"

    formula = "x tanh(x)"
    range = (0.0, None)
    limits = ("-x", "x")
    references = (
        "Roy, Manna, Dubey & Chaudhuri 2019, LiSHT: non-parametric linearly scaled hyperbolic tangent activation",
    )
    failure = "Even, so the sign of the input is lost, and quadratic at the origin, so small signals vanish."
    recommended_initializers = (PRESERVING,)

    def value(self, x: FloatArray) -> FloatArray:
        return x * np.tanh(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.tanh(x) + x * sech_squared(x)
