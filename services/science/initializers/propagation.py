"""Scales chosen so that signals reach the depth of the network, from the activation or from the data."""

import math
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import Field

from services.science.activations.base import BaseActivation
from services.science.activations.moments import moments
from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Moments, Shape
from services.science.initializers.distributions import NormalDraw, UniformDraw
from services.science.initializers.shapes import matrix_shape
from services.science.initializers.structured import SAXE_2014, draw_orthogonal, orthogonal_moments
from services.science.theory.criticality import CriticalPoint, stable_critical_point


def known_activation(kind: str, context: LayerContext) -> BaseActivation:
    """The network's activation.

    Raises:
        ValueError: the context does not say.
    """
    if context.activation is None:
        raise ValueError(f"{kind} scales its weights by the activation, and none is given")
    return context.activation


# Every layer of every trial asks for the same few numbers. A frozen member hashes, though its type does not say so.
_moments = lru_cache(maxsize=256)(moments)
_stable_critical_point = lru_cache(maxsize=256)(stable_critical_point)


class XavierFanIn(NormalDraw):
    """Normal, not truncated, of variance 1 / fan_in: the classroom's "Xavier", which looks at one fan only."""

    kind: Literal["xavier_fan_in"] = "xavier_fan_in"

    formula = "N(0, 1 / fan_in)"
    fan_convention = "fan_in"
    gain_note = "sigma_w^2 = 1: for units of unit slope"
    references = (
        "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, eq. 16",
        "Caffe's xavier, as a normal",
    )

    def std(self, context: LayerContext) -> float:
        return 1.0 / math.sqrt(context.fan_in)


class GainMatched(NormalDraw):
    """Normal with the gain of the network's own activation: every layer's pre-activations keep a second moment of 1.

    The first layer, whose input has not passed the activation and is standardized, has a gain of 1. `keep` says what
    is kept from layer to layer: the second moment of the signal, its variance, or the gradient's second moment.
    """

    kind: Literal["gain_matched"] = "gain_matched"
    keep: Literal["second_moment", "variance", "gradient"] = "second_moment"

    formula = "N(0, gain^2 / fan_in), gain = 1 / sqrt(E[f(z)^2]), z ~ N(0, 1)"
    fan_convention = "fan_in"
    gain_note = "he_normal's idea for any activation: 2 for relu, 2.54 for tanh, 2.35 for gelu"
    references = (
        "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers, section 2.2",
        "Brock, De & Smith 2021, Characterizing signal propagation in unnormalized ResNets (variance)",
    )
    needs_activation = True

    def std(self, context: LayerContext) -> float:
        """Standard deviation of a weight."""
        activation = known_activation(self.kind, context)
        if context.layer == 0:
            return 1.0 / math.sqrt(context.fan_in)
        gains = _moments(activation)  # pyright: ignore[reportArgumentType]
        gain = {
            "second_moment": gains.gain,
            "variance": gains.centred_gain,
            "gradient": gains.derivative_gain,
        }[self.keep]
        if gain is None:
            raise ValueError(f"gain_matched has no gain for {activation.label()}, which passes nothing on")
        return gain / math.sqrt(context.fan_in)


class Critical(NormalDraw):
    """The edge of chaos: normal weights and biases at which the gradient's scale neither grows nor shrinks with depth.

    For a bias variance sigma_b^2, the weight variance sigma_w^2 / fan_in is the one with chi_1 = 1 at the fixed point
    of the signal's scale, which has to be one that signals come to by themselves. Where `bias_variance` is left open it
    is 0 if that has such a point (tanh, relu), else the smallest that has (gelu 0.2, mish 0.11, silu 0.64). The output
    layer uses the same.
    """

    kind: Literal["critical"] = "critical"
    bias_variance: float | None = Field(
        default=None,
        ge=0.0,
        le=100.0,
        description="sigma_b^2; left open, the smallest at which this activation's signals keep their scale.",
    )

    formula = "N(0, sigma_w^2 / fan_in), biases N(0, sigma_b^2), chi_1(sigma_w^2, sigma_b^2) = 1"
    fan_convention = "fan_in"
    gain_note = "sigma_w^2 by activation: 2 for relu and 1 for tanh at sigma_b^2 = 0, 1.761 for tanh at 0.05"
    references = (
        "Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli 2016, Exponential expressivity in deep neural networks",
        "Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, Deep information propagation",
        "Roberts, Yaida & Hanin 2022, The principles of deep learning theory, section 5.3 (half-stable points)",
    )
    needs_activation = True

    def point(self, context: LayerContext) -> CriticalPoint:
        """The point of the network's activation.

        Raises:
            ValueError: the context names no activation, or it has no such point.
        """
        activation = known_activation(self.kind, context)
        return _stable_critical_point(activation, self.bias_variance)  # pyright: ignore[reportArgumentType]

    def std(self, context: LayerContext) -> float:
        """Standard deviation of a weight."""
        return math.sqrt(self.point(context).sigma_w_squared / context.fan_in)

    def draw_bias(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return rng.normal(0.0, math.sqrt(self.bias_variance_of(context)), shape)

    def bias_variance_of(self, context: LayerContext) -> float:
        return self.point(context).sigma_b_squared


class Mup(NormalDraw):
    """The weights of the maximal update parametrization: only the output layer differs from 1 / fan_in.

    Its variance falls as 1 / fan_in^2, and equals 1 / fan_in at `base_width`. The other half of the parametrization,
    learning rates by layer and width (for adam 1 / fan_in in hidden layers), is not an initializer's to set: without
    it the transfer of a learning rate across widths is not what the paper promises.
    """

    kind: Literal["mup"] = "mup"
    gain: float = Field(default=1.0, gt=0.0, le=LARGEST)
    base_width: int = Field(default=64, ge=1, le=1_000_000)

    formula = "N(0, gain^2 / fan_in), and N(0, gain^2 base_width / fan_in^2) in the output layer"
    fan_convention = "fan_in"
    gain_note = "sigma_w^2 = gain^2 in hidden layers; take sqrt(2) for relu"
    references = ("Yang & Hu 2021, Tensor programs IV, table 1", "Yang et al. 2022, Tensor programs V")

    def std(self, context: LayerContext) -> float:
        """Standard deviation of a weight."""
        narrowing = math.sqrt(self.base_width / context.fan_in) if context.is_output else 1.0
        return self.gain * narrowing / math.sqrt(context.fan_in)


class SirenUniform(UniformDraw):
    """The companion of the siren activation: uniform, divided by omega_0 from the second layer on."""

    kind: Literal["siren"] = "siren"
    omega_0: float = Field(default=30.0, gt=0.0, le=1e3, description="That of the activation.")

    formula = "U(-1/fan_in, 1/fan_in) first, then U(-limit, limit), limit = sqrt(6 / fan_in) / omega_0"
    fan_convention = "fan_in"
    gain_note = "omega_0^2 sigma_w^2 = 2: the sine passes half of the second moment on"
    references = ("Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, Implicit neural representations, section 3.2",)

    def limit(self, context: LayerContext) -> float:
        """Half the width of the distribution."""
        return 1.0 / context.fan_in if context.layer == 0 else math.sqrt(6.0 / context.fan_in) / self.omega_0


class Lsuv(BaseInitializer):
    """Layer-sequential unit variance: orthogonal, then each layer divided by the deviation its output has on a batch.

    `draw` gives the orthogonal start. The engine then goes through the layers in order and divides a layer's weight by
    the deviation of its pre-activations until their variance is within `tolerance` of 1, at most `max_iterations`
    times.
    """

    kind: Literal["lsuv"] = "lsuv"
    tolerance: float = Field(default=0.1, gt=0.0, le=1.0)
    max_iterations: int = Field(default=10, ge=1, le=100)

    formula = "Q / std(x Q), layer by layer"
    fan_convention = "the longer side, then the data"
    gain_note = "whatever sigma_w^2 gives this activation unit variance on this data"
    references = ("Mishkin & Matas 2016, All you need is a good init, algorithm 1", SAXE_2014)
    data_dependent = True

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return draw_orthogonal(*matrix_shape(self.kind, shape), rng).reshape(shape)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        start = orthogonal_moments(*matrix_shape(self.kind, shape), 1.0)
        return Moments(start.mean, None, None, None)
