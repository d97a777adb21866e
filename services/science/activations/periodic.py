"""Waves and bumps: activations that do not grow or fall throughout."""

import math
from typing import Literal

import numpy as np
from pydantic import Field

from services.science.activations.advice import CRITICAL, GLOROT_UNIFORM, PRESERVING
from services.science.activations.base import BaseActivation, FloatArray, Recommendation

SITZMANN_2020 = "Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, Implicit neural representations"


class Sin(BaseActivation):
    """The sine; derivative cos(x)."""

    kind: Literal["sin"] = "sin"

    formula = "sin(x)"
    range = (-1.0, 1.0)
    limits = ("oscillates in [-1, 1]", "oscillates in [-1, 1]")
    references = ("Parascandolo, Huttunen & Virtanen 2017, Taming the waves: sine as activation function",)
    failure = "Periodic: beyond |x| = pi / 2 the loss grows many local minima."
    recommended_initializers = (GLOROT_UNIFORM, CRITICAL)

    def value(self, x: FloatArray) -> FloatArray:
        return np.sin(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.cos(x)


class Siren(BaseActivation):
    """A fast sine, for networks that represent a signal; derivative omega_0 cos(omega_0 x)."""

    kind: Literal["siren"] = "siren"
    omega_0: float = Field(default=30.0, gt=0.0, le=1e3)

    formula = "sin(omega_0 x)"
    range = (-1.0, 1.0)
    limits = ("oscillates in [-1, 1]", "oscillates in [-1, 1]")
    references = (f"{SITZMANN_2020}, section 3.2",)
    failure = "Useless unless its own initializer scales the weights down by omega_0."
    recommended_initializers = (
        Recommendation("siren", "keeps every pre-activation standard normal", f"{SITZMANN_2020}, theorem 1.8"),
    )

    def value(self, x: FloatArray) -> FloatArray:
        return np.sin(self.omega_0 * x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return self.omega_0 * np.cos(self.omega_0 * x)


class Cosine(BaseActivation):
    """The cosine, even; derivative -sin(x)."""

    kind: Literal["cos"] = "cos"

    formula = "cos(x)"
    range = (-1.0, 1.0)
    limits = ("oscillates in [-1, 1]", "oscillates in [-1, 1]")
    references = ("Rahimi & Recht 2008, Random features for large-scale kernel machines",)
    failure = "Flat at the origin and even: without biases small signals are lost."
    recommended_initializers = (PRESERVING,)

    def value(self, x: FloatArray) -> FloatArray:
        return np.cos(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return -np.sin(x)


class Snake(BaseActivation):
    """x + sin(a x)^2 / a: a line with a wave on it, able to extrapolate periods; derivative 1 + sin(2 a x)."""

    kind: Literal["snake"] = "snake"
    a: float = Field(default=1.0, gt=0.0, le=1e3)

    formula = "x + sin(a x)^2 / a"
    limits = ("x", "x")
    references = ("Ziyin, Hartwig & Ueda 2020, Neural networks fail to learn periodic functions and how to fix it",)
    failure = "Its mean is positive, so signals drift with depth."
    recommended_initializers = (PRESERVING,)

    def value(self, x: FloatArray) -> FloatArray:
        return x + np.square(np.sin(self.a * x)) / self.a

    def derivative(self, x: FloatArray) -> FloatArray:
        return 1.0 + np.sin(2.0 * self.a * x)


class Gaussian(BaseActivation):
    """A bump, exp(-x^2); derivative -2 x exp(-x^2)."""

    kind: Literal["gaussian"] = "gaussian"

    formula = "exp(-x^2)"
    range = (0.0, 1.0)
    limits = ("0", "0")
    references = (
        "Broomhead & Lowe 1988, Multivariable functional interpolation and adaptive networks",
        "Ramasinghe & Lucey 2022, Beyond periodicity: towards a unifying framework for activations",
    )
    failure = "Far from the origin nothing passes, and at the origin it is flat: gradients shrink at either end."
    recommended_initializers = (PRESERVING,)

    def value(self, x: FloatArray) -> FloatArray:
        return np.exp(-np.square(x))

    def derivative(self, x: FloatArray) -> FloatArray:
        return -2.0 * x * np.exp(-np.square(x))


class Sinc(BaseActivation):
    """sin(x) / x, 1 at the origin; derivative (cos(x) - sin(x) / x) / x."""

    kind: Literal["sinc"] = "sinc"

    formula = "sin(x) / x"
    range = (-0.21723362821122166, 1.0)
    limits = ("0", "0")
    references = (
        "Saratchandran, Ramasinghe, Shevchenko, Long & Lucey 2024, A sampling theory perspective on activations",
    )
    failure = "Even and flat at the origin: without biases small signals are lost."
    recommended_initializers = (PRESERVING,)

    def value(self, x: FloatArray) -> FloatArray:
        return np.sinc(x / math.pi)

    def derivative(self, x: FloatArray) -> FloatArray:
        # Below 1e-2 the difference cancels; the Taylor series is exact to double precision there.
        small = np.abs(x) < 1e-2
        safe = np.where(small, 1.0, x)
        squared = np.square(np.where(small, x, 0.0))
        series = -np.where(small, x, 0.0) / 3.0 * (1.0 - squared / 10.0 * (1.0 - squared / 28.0))
        return np.where(small, series, (np.cos(safe) - np.sin(safe) / safe) / safe)
