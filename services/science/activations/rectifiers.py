"""Piecewise linear activations that open on the positive side."""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from services.science.activations.advice import HE_2015, HE_NORMAL, HE_UNIFORM, PRESERVING, SMALL_START, UNSTABLE
from services.science.activations.base import BaseActivation, FloatArray, Recommendation


class Relu(BaseActivation):
    """The rectifier max(0, x); derivative 1 for x > 0, else 0 (0 at the kink)."""

    kind: Literal["relu"] = "relu"

    formula = "max(0, x)"
    range = (0.0, None)
    limits = ("0", "x")
    references = (
        "Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines",
        "Glorot, Bordes & Bengio 2011, Deep sparse rectifier neural networks",
        HE_2015,
    )
    failure = (
        "Units whose pre-activation is negative on every row get no gradient and stay dead; "
        "correlations between inputs tend to one with depth."
    )
    recommended_initializers = (HE_UNIFORM, HE_NORMAL)

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

    formula = "x if x > 0 else negative_slope * x"
    range = (None, None)
    limits = ("negative_slope * x", "x")
    references = (
        "Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models",
        f"{HE_2015}, eq. 14",
    )
    failure = "Close to relu for small slopes; a slope of one is linear."
    recommended_initializers = (
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


class PRelu(BaseActivation):
    """leaky_relu whose negative slope is trained, one scalar per layer, from `initial_slope`."""

    kind: Literal["prelu"] = "prelu"
    initial_slope: float = Field(default=0.25, ge=-1.0, le=1.0, description="Slope for x <= 0 before training.")

    formula = "x if x > 0 else slope * x, slope trained from initial_slope"
    limits = ("slope * x", "x")
    references = (f"{HE_2015}, section 2.1", "torch.nn.PReLU (starts at 0.25); Keras's PReLU starts at 0")
    failure = "The trained slope is one more parameter to overfit with; weight decay would pull it towards relu."
    recommended_initializers = (
        Recommendation("kaiming_uniform", "with negative_slope = initial_slope", f"{HE_2015}, eq. 15"),
        PRESERVING,
    )
    learned = ("initial_slope",)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def bounds(self) -> tuple[float | None, float | None]:
        return (None if self.initial_slope > 0 else 0.0, None)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, x, self.initial_slope * x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, 1.0, self.initial_slope)


class RRelu(BaseActivation):
    """Leaky rectifier with the mean of a random slope's bounds, (lower + upper) / 2, in training as in evaluation.

    PyTorch draws each negative unit's slope from U(lower, upper) while training and uses the mean in evaluation; that
    noise is left out here, so the function of both phases is the same.
    """

    kind: Literal["rrelu"] = "rrelu"
    lower: float = Field(default=1 / 8, ge=0.0, le=1.0)
    upper: float = Field(default=1 / 3, ge=0.0, le=1.0)

    formula = "x if x > 0 else (lower + upper) / 2 * x"
    limits = ("(lower + upper) / 2 * x", "x")
    references = (
        "Xu, Wang, Chen & Li 2015, Empirical evaluation of rectified activations in convolutional network",
        "torch.nn.RReLU in evaluation",
    )
    failure = "Close to leaky_relu with slope 0.229."
    recommended_initializers = (
        Recommendation("kaiming_uniform", "with negative_slope = (lower + upper) / 2", f"{HE_2015}, eq. 15"),
        PRESERVING,
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"lower must not exceed upper, but {self.lower:g} > {self.upper:g}")
        return self

    @property
    def slope(self) -> float:
        """The slope for x <= 0."""
        return (self.lower + self.upper) / 2.0

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def bounds(self) -> tuple[float | None, float | None]:
        return (None if self.slope > 0 else 0.0, None)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, x, self.slope * x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x > 0.0, 1.0, self.slope)


class Relu6(BaseActivation):
    """relu clipped at 6; derivative 1 strictly between 0 and 6."""

    kind: Literal["relu6"] = "relu6"

    formula = "min(max(0, x), 6)"
    range = (0.0, 6.0)
    limits = ("0", "6")
    references = ("Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10",)
    failure = "Dead below 0 as relu, and saturated above 6."
    recommended_initializers = (HE_UNIFORM, HE_NORMAL)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0, 6.0)

    def value(self, x: FloatArray) -> FloatArray:
        return np.clip(x, 0.0, 6.0)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where((x > 0.0) & (x < 6.0), 1.0, 0.0)


class Threshold(BaseActivation):
    """x where it exceeds the threshold, else a constant; jumps at the threshold unless the two are equal."""

    kind: Literal["threshold"] = "threshold"
    threshold: float = Field(default=1.0, ge=-1e3, le=1e3)
    otherwise: float = Field(default=0.0, ge=-1e3, le=1e3, description="The value at and below the threshold.")

    formula = "x if x > threshold else otherwise"
    range = (0.0, None)
    limits = ("otherwise", "x")
    references = (
        "Konda, Memisevic & Krueger 2015, Zero-bias autoencoders and the benefits of co-adapting features",
        "torch.nn.Threshold, which has no defaults; keras.activations.threshold",
    )
    failure = "Kills small signals: with a threshold above 0, a signal that starts to shrink vanishes within layers."
    recommended_initializers = (PRESERVING,)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (self.threshold,)

    def bounds(self) -> tuple[float | None, float | None]:
        return (min(self.threshold, self.otherwise), None)

    def value(self, x: FloatArray) -> FloatArray:
        return np.where(x > self.threshold, x, self.otherwise)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(x > self.threshold, 1.0, 0.0)


class SquaredRelu(BaseActivation):
    """relu squared; derivative 2 max(0, x)."""

    kind: Literal["squared_relu"] = "squared_relu"

    formula = "max(0, x)^2"
    range = (0.0, None)
    limits = ("0", "x^2")
    references = ("So, Manke, Liu, Dai, Shazeer & Le 2021, Primer: searching for efficient transformers",)
    failure = (
        "Of degree two: a layer squares the scale, so plain networks of more than one hidden layer explode or "
        "collapse; layer_norm keeps them."
    )
    recommended_initializers = (SMALL_START, UNSTABLE)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def value(self, x: FloatArray) -> FloatArray:
        return np.square(np.maximum(x, 0.0))

    def derivative(self, x: FloatArray) -> FloatArray:
        return 2.0 * np.maximum(x, 0.0)


class StarRelu(BaseActivation):
    """relu squared, scaled and shifted to mean 0 and variance 1 under a standard normal; both numbers stay fixed."""

    kind: Literal["star_relu"] = "star_relu"
    scale: float = Field(default=0.8944, gt=0.0, le=100.0)
    shift: float = Field(default=-0.4472, ge=-100.0, le=100.0)

    formula = "scale * max(0, x)^2 + shift"
    range = (-0.4472, None)
    limits = ("shift", "scale * x^2")
    references = ("Yu, Si, Zhou, Luo, Zhou, Feng, Yan & Wang 2022, MetaFormer baselines for vision, section 3",)
    failure = "Of degree two, as squared_relu."
    recommended_initializers = (
        SMALL_START,
        Recommendation(
            "lecun_normal",
            "unit variance in gives unit variance out on average, not row by row: for one hidden layer, or with "
            "layer_norm",
            "Yu et al. 2022",
        ),
    )

    @property
    def kinks(self) -> tuple[float, ...]:
        return (0.0,)

    def bounds(self) -> tuple[float | None, float | None]:
        return (self.shift, None)

    def value(self, x: FloatArray) -> FloatArray:
        return self.scale * np.square(np.maximum(x, 0.0)) + self.shift

    def derivative(self, x: FloatArray) -> FloatArray:
        return 2.0 * self.scale * np.maximum(x, 0.0)
