"""Activations that saturate on both sides."""

import math
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.special import erf, expit

from services.science.activations.advice import (
    CRITICAL,
    GLOROT_2010,
    GLOROT_NORMAL,
    GLOROT_UNIFORM,
    LECUN_1998,
    LECUN_NORMAL,
    PRESERVING,
)
from services.science.activations.base import BaseActivation, FloatArray, Recommendation
from services.science.activations.special import sech_squared


class Sigmoid(BaseActivation):
    """The logistic function, 1 / (1 + exp(-x)); derivative s (1 - s), at most 1/4."""

    kind: Literal["sigmoid"] = "sigmoid"

    formula = "1 / (1 + exp(-x))"
    range = (0.0, 1.0)
    limits = ("0", "1")
    references = (
        "Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors",
        f"{GLOROT_2010}, section 3",
    )
    failure = (
        "Saturates and is not centred on zero; the slope is at most 1/4, so at the usual scales gradients shrink at "
        "every layer (chi_1 is about sigma_w^2 / 16)."
    )
    recommended_initializers = (
        Recommendation("glorot_uniform", "balances forward and backward variance", f"{GLOROT_2010}, eq. 16"),
        GLOROT_NORMAL,
    )

    def value(self, x: FloatArray) -> FloatArray:
        return expit(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return expit(x) * expit(-x)


class Tanh(BaseActivation):
    """The hyperbolic tangent; derivative 1 - tanh(x)^2."""

    kind: Literal["tanh"] = "tanh"

    formula = "tanh(x)"
    range = (-1.0, 1.0)
    limits = ("-1", "1")
    references = (
        f"{LECUN_1998}, section 4.4",
        GLOROT_2010,
    )
    failure = "Saturates: large pre-activations leave units near -1 or 1 with almost no gradient."
    recommended_initializers = (GLOROT_UNIFORM, LECUN_NORMAL, CRITICAL)

    def value(self, x: FloatArray) -> FloatArray:
        return np.tanh(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return sech_squared(x)


class LecunTanh(BaseActivation):
    """tanh stretched so that f(1) = 1 and f(-1) = -1, with its strongest curvature there."""

    kind: Literal["lecun_tanh"] = "lecun_tanh"

    formula = "1.7159 tanh(2 x / 3)"
    range = (-1.7159, 1.7159)
    limits = ("-1.7159", "1.7159")
    references = (f"{LECUN_1998}, section 4.4",)
    failure = "Saturates as tanh does, somewhat later."
    recommended_initializers = (LECUN_NORMAL, CRITICAL)

    def value(self, x: FloatArray) -> FloatArray:
        return 1.7159 * np.tanh(2.0 / 3.0 * x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return 1.7159 * 2.0 / 3.0 * sech_squared(2.0 / 3.0 * x)


class Softsign(BaseActivation):
    """x / (1 + |x|): saturates as 1/x, far more slowly than tanh; derivative 1 / (1 + |x|)^2."""

    kind: Literal["softsign"] = "softsign"

    formula = "x / (1 + |x|)"
    range = (-1.0, 1.0)
    limits = ("-1", "1")
    references = (
        "Bergstra, Desjardins, Lamblin & Bengio 2009, Quadratic polynomials learn better image features",
        GLOROT_2010,
    )
    failure = "Shrinks signals of order one by more than half; gradients fall with depth at sigma_w^2 = 1."
    recommended_initializers = (GLOROT_UNIFORM, CRITICAL, PRESERVING)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def value(self, x: FloatArray) -> FloatArray:
        return x / (1.0 + np.abs(x))

    def derivative(self, x: FloatArray) -> FloatArray:
        return 1.0 / np.square(1.0 + np.abs(x))


class Arctan(BaseActivation):
    """The inverse tangent; derivative 1 / (1 + x^2)."""

    kind: Literal["arctan"] = "arctan"

    formula = "atan(x)"
    range = (-math.pi / 2, math.pi / 2)
    limits = ("-pi/2", "pi/2")
    references = ("Cybenko 1989, Approximation by superpositions of a sigmoidal function",)
    failure = "Saturates, as 1/x."
    recommended_initializers = (GLOROT_UNIFORM, CRITICAL)

    def value(self, x: FloatArray) -> FloatArray:
        return np.arctan(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + np.square(x))


class Erf(BaseActivation):
    """The error function; derivative 2 exp(-x^2) / sqrt(pi). Its Gaussian maps have closed forms."""

    kind: Literal["erf"] = "erf"

    formula = "erf(x)"
    range = (-1.0, 1.0)
    limits = ("-1", "1")
    references = ("Williams 1997, Computing with infinite networks, eq. 11",)
    failure = "Saturates faster than tanh; sigma_w^2 = pi / 4 is critical for small signals."
    recommended_initializers = (CRITICAL, GLOROT_UNIFORM)

    def value(self, x: FloatArray) -> FloatArray:
        return erf(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return 2.0 / math.sqrt(math.pi) * np.exp(-np.square(x))


class InverseSquareRoot(BaseActivation):
    """x / sqrt(1 + alpha x^2): an algebraic sigmoid without exponentials; derivative (1 + alpha x^2)^(-3/2)."""

    kind: Literal["isru"] = "isru"
    alpha: float = Field(default=1.0, gt=0.0, le=1e3)

    formula = "x / sqrt(1 + alpha x^2)"
    range = (-1.0, 1.0)
    limits = ("-1 / sqrt(alpha)", "1 / sqrt(alpha)")
    references = ("Carlile, Delamarter, Kinney, Marti & Whitney 2017, Improving deep learning by ISRLUs",)
    failure = "Saturates, as 1/x^2."
    recommended_initializers = (GLOROT_UNIFORM, CRITICAL)

    def bounds(self) -> tuple[float | None, float | None]:
        limit = 1.0 / math.sqrt(self.alpha)
        return (-limit, limit)

    def value(self, x: FloatArray) -> FloatArray:
        return x / np.sqrt(1.0 + self.alpha * np.square(x))

    def derivative(self, x: FloatArray) -> FloatArray:
        return (1.0 + self.alpha * np.square(x)) ** -1.5
