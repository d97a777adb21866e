"""Smooth versions of relu that are positive everywhere (or, mirrored, negative), and their relatives."""

from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import expit

from services.science.activations.advice import NEAR_HE, PRESERVING
from services.science.activations.base import BaseActivation, FloatArray, Recommendation
from services.science.activations.special import softplus

DRIFT = "Never zero, so every layer's mean drifts away from zero and swamps what distinguishes two inputs; chi_1 < 1."
CENTRED = Recommendation(
    "lecun_normal", "with batch norm, which removes the mean; without it no scale helps much", "mean-field theory"
)


class Softplus(BaseActivation):
    """log(1 + exp(beta x)) / beta, and x itself where beta x exceeds `threshold`; derivative s(beta x)."""

    kind: Literal["softplus"] = "softplus"
    beta: float = Field(default=1.0, gt=0.0, le=100.0)
    threshold: float = Field(default=20.0, ge=1.0, le=1e3)

    formula = "log(1 + exp(beta x)) / beta"
    range = (0.0, None)
    limits = ("0", "x")
    references = ("Dugas, Bengio, Belisle, Nadeau & Garcia 2001, Incorporating second-order functional knowledge",)
    failure = DRIFT
    recommended_initializers = (CENTRED, PRESERVING)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (self.threshold / self.beta,)

    def value(self, x: FloatArray) -> FloatArray:
        inner = self.beta * x
        return np.where(inner > self.threshold, x, softplus(inner) / self.beta)

    def derivative(self, x: FloatArray) -> FloatArray:
        inner = self.beta * x
        return np.where(inner > self.threshold, 1.0, expit(inner))


class LogSigmoid(BaseActivation):
    """log(1 / (1 + exp(-x))): softplus turned by half a turn; derivative s(-x)."""

    kind: Literal["log_sigmoid"] = "log_sigmoid"

    formula = "-log(1 + exp(-x))"
    range = (None, 0.0)
    limits = ("x", "0")
    references = ("torch.nn.LogSigmoid; keras.activations.log_sigmoid",)
    failure = DRIFT
    recommended_initializers = (CENTRED, PRESERVING)

    def value(self, x: FloatArray) -> FloatArray:
        return -softplus(-x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return expit(-x)


class Squareplus(BaseActivation):
    """(x + sqrt(x^2 + b)) / 2: softplus's shape by algebra alone; derivative (1 + x / sqrt(x^2 + b)) / 2."""

    kind: Literal["squareplus"] = "squareplus"
    b: float = Field(default=4.0, gt=0.0, le=1e4)

    formula = "(x + sqrt(x^2 + b)) / 2"
    range = (0.0, None)
    limits = ("0", "x")
    references = ("Barron 2021, Squareplus: a softplus-like algebraic rectifier",)
    failure = DRIFT
    recommended_initializers = (CENTRED, PRESERVING)

    def value(self, x: FloatArray) -> FloatArray:
        # For x < 0 the sum cancels; b / (2 (root - x)) is the same number and does not.
        root = np.sqrt(np.square(x) + self.b)
        return np.where(x > 0.0, (x + root) / 2.0, self.b / (2.0 * (root + np.abs(x))))

    def derivative(self, x: FloatArray) -> FloatArray:
        return 0.5 * (1.0 + x / np.sqrt(np.square(x) + self.b))


class SparsePlus(BaseActivation):
    """relu with its corner rounded by a parabola between -1 and 1."""

    kind: Literal["sparse_plus"] = "sparse_plus"

    formula = "0 if x <= -1, (x + 1)^2 / 4 if -1 < x < 1, x if x >= 1"
    range = (0.0, None)
    limits = ("0", "x")
    references = ("keras.activations.sparse_plus",)
    failure = "Dead below -1, and positive everywhere else: the mean drifts as softplus's does."
    recommended_initializers = (NEAR_HE, PRESERVING)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-1.0, 1.0)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x >= 1.0, x, np.square(np.clip(x + 1.0, 0.0, 2.0)) / 4.0)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.clip((x + 1.0) / 2.0, 0.0, 1.0)


class Exponential(BaseActivation):
    """exp(x), its own derivative."""

    kind: Literal["exponential"] = "exponential"

    formula = "exp(x)"
    range = (0.0, None)
    limits = ("0", "exp(x)")
    references = ("keras.activations.exponential",)
    failure = "Overflows: float32 at x = 88.7, so a few layers, or one large step, make the trial diverge."
    recommended_initializers = (
        Recommendation("scaled_normal", "with a small scale, so that exp stays near 1 + x", "Taylor expansion"),
    )
    finite_below = 709.782712893384

    def value(self, x: FloatArray) -> FloatArray:
        return np.exp(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.exp(x)
