"""The identity on the positive side, a saturating curve on the negative side."""

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from services.science.activations.advice import CRITICAL, GLOROT_UNIFORM, NEAR_HE, PRESERVING
from services.science.activations.base import BaseActivation, FloatArray, Recommendation

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


class _ZeroKink(BaseActivation):
    """Not smooth at zero."""

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)


class Elu(_ZeroKink):
    """x for x > 0, else alpha (exp(x) - 1); derivative alpha exp(x) for x <= 0."""

    kind: Literal["elu"] = "elu"
    alpha: float = Field(default=1.0, gt=0.0, le=100.0)

    formula = "x if x > 0 else alpha (exp(x) - 1)"
    range = (-1.0, None)
    limits = ("-alpha", "x")
    references = ("Clevert, Unterthiner & Hochreiter 2016, Fast and accurate deep network learning by ELUs",)
    failure = "Saturates on the negative side; at sigma_w^2 = 2 signals grow slowly with depth."
    recommended_initializers = (NEAR_HE, PRESERVING, CRITICAL)

    def bounds(self) -> tuple[float | None, float | None]:
        return (-self.alpha, None)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, x, self.alpha * np.expm1(np.minimum(x, 0.0)))

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, 1.0, self.alpha * np.exp(np.minimum(x, 0.0)))


class Celu(_ZeroKink):
    """elu with a continuous derivative for every alpha: x for x > 0, else alpha (exp(x / alpha) - 1)."""

    kind: Literal["celu"] = "celu"
    alpha: float = Field(default=1.0, gt=0.0, le=100.0)

    formula = "max(0, x) + min(0, alpha (exp(x / alpha) - 1))"
    range = (-1.0, None)
    limits = ("-alpha", "x")
    references = ("Barron 2017, Continuously differentiable exponential linear units",)
    failure = "Saturates on the negative side."
    recommended_initializers = (NEAR_HE, PRESERVING)

    def bounds(self) -> tuple[float | None, float | None]:
        return (-self.alpha, None)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, x, self.alpha * np.expm1(np.minimum(x, 0.0) / self.alpha))

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, 1.0, np.exp(np.minimum(x, 0.0) / self.alpha))


class Selu(_ZeroKink):
    """elu scaled so that mean 0 and variance 1 are a stable fixed point at sigma_w^2 = 1."""

    kind: Literal["selu"] = "selu"

    formula = "1.0507009873554805 (x if x > 0 else 1.6732632423543772 (exp(x) - 1))"
    range = (-SELU_SCALE * SELU_ALPHA, None)
    limits = ("-1.7580993408473766", "1.0507 x")
    references = ("Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks, eq. 2 and 14",)
    failure = "Needs standardized inputs and sigma_w^2 = 1; PyTorch's gain of 3/4 breaks the self-normalisation."
    recommended_initializers = (
        Recommendation("lecun_normal", "sigma_w^2 = 1 makes mean 0, variance 1 a fixed point", "Klambauer et al. 2017"),
    )

    def value(self, x: FloatArray) -> FloatArray:
        return SELU_SCALE * np.where(x > 0.0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0.0)))

    def derivative(self, x: FloatArray) -> FloatArray:
        return SELU_SCALE * np.where(x > 0.0, 1.0, SELU_ALPHA * np.exp(np.minimum(x, 0.0)))


class InverseSquareRootLinear(_ZeroKink):
    """x for x >= 0, else x / sqrt(1 + alpha x^2): elu's shape without exponentials."""

    kind: Literal["isrlu"] = "isrlu"
    alpha: float = Field(default=1.0, gt=0.0, le=1e3)

    formula = "x if x >= 0 else x / sqrt(1 + alpha x^2)"
    range = (-1.0, None)
    limits = ("-1 / sqrt(alpha)", "x")
    references = ("Carlile, Delamarter, Kinney, Marti & Whitney 2017, Improving deep learning by ISRLUs",)
    failure = "Saturates on the negative side."
    recommended_initializers = (NEAR_HE, PRESERVING)

    def bounds(self) -> tuple[float | None, float | None]:
        return (-1.0 / self.alpha**0.5, None)

    def value(self, x: FloatArray) -> FloatArray:
        return x / np.sqrt(1.0 + self.alpha * np.square(np.minimum(x, 0.0)))

    def derivative(self, x: FloatArray) -> FloatArray:
        return (1.0 + self.alpha * np.square(np.minimum(x, 0.0))) ** -1.5


class Elish(_ZeroKink):
    """silu on the positive side, elu times sigmoid on the negative side; continuously differentiable."""

    kind: Literal["elish"] = "elish"

    formula = "x s(x) if x >= 0 else (exp(x) - 1) s(x), s the sigmoid"
    range = (2.0 * 2.0**0.5 - 3.0, None)
    limits = ("0", "x")
    references = ("Basirat & Roth 2018, The quest for the golden activation function",)
    failure = "Both tails differ: gradients vanish on the negative side, and small signals are halved."
    recommended_initializers = (PRESERVING, GLOROT_UNIFORM._replace(reason="a cautious start near the origin"))

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x >= 0.0, x, np.expm1(np.minimum(x, 0.0))) * expit(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        s = expit(x)
        grown = np.exp(np.minimum(x, 0.0))
        positive = s + x * s * expit(-x)
        negative = grown * s + (grown - 1.0) * s * expit(-x)
        return np.where(x >= 0.0, positive, negative)
