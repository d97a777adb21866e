"""Gated linear units: the last axis is cut in halves a, b, and the value is a g(b), half as wide as the input.

`value` maps (..., 2 n) to (..., n). `derivative` keeps the input's shape: its halves are df/da = g(b) and
df/db = a g'(b). Every input coordinate acts on one output coordinate only, so the gradient of a loss with respect to
the input is `derivative(x) * concatenate([upstream, upstream], axis=-1)`.
"""

from abc import abstractmethod
from typing import Literal

import numpy as np

from services.science.activations.advice import PRESERVING, SHAZEER_2020, SMALL_START, UNSTABLE
from services.science.activations.base import BaseActivation, FloatArray, Recommendation
from services.science.activations.linear import Identity
from services.science.activations.rectifiers import Relu
from services.science.activations.self_gated import Gelu, Silu
from services.science.activations.sigmoidal import Sigmoid

GLOROT = Recommendation("glorot_uniform", "the usual default of networks with gates; check the depth", SHAZEER_2020)


class GatedLinearUnit(BaseActivation):
    """What the family shares: a product of a line and a gate, which has two scales instead of one."""

    failure = (
        "The output's scale is the product of two scales: twice the signal in means four times the signal out, so "
        "plain networks of more than one hidden layer explode or collapse; layer_norm keeps them."
    )
    recommended_initializers = (SMALL_START, UNSTABLE)
    limits = ("a g(b): unbounded in a", "a g(b): unbounded in a")
    width_factor = 2

    @property
    @abstractmethod
    def gate(self) -> BaseActivation:
        """The activation g of the gate."""
        raise NotImplementedError

    @property
    def kinks(self) -> tuple[float, ...]:
        return self.gate.kinks

    def value(self, x: FloatArray) -> FloatArray:
        a, b = halves(x)
        return a * self.gate.value(b)

    def derivative(self, x: FloatArray) -> FloatArray:
        a, b = halves(x)
        return np.concatenate([self.gate.value(b), a * self.gate.derivative(b)], axis=-1)


def halves(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Cut the last axis in two.

    Raises:
        ValueError: no last axis, or one of odd length.
    """
    if x.ndim == 0 or x.shape[-1] % 2:
        raise ValueError(f"a gated linear unit halves its last axis, which must be of even length, not shape {x.shape}")
    middle = x.shape[-1] // 2
    return x[..., :middle], x[..., middle:]


class Glu(GatedLinearUnit):
    """a s(b), s the sigmoid."""

    kind: Literal["glu"] = "glu"

    formula = "a / (1 + exp(-b))"
    failure = "The gate saturates: for large signals it is open or shut, and the unit is linear in a."
    recommended_initializers = (PRESERVING, GLOROT)
    references = ("Dauphin, Fan, Auli & Grangier 2017, Language modeling with gated convolutional networks",)

    @property
    def gate(self) -> BaseActivation:
        return Sigmoid()


class ReGlu(GatedLinearUnit):
    """a relu(b)."""

    kind: Literal["reglu"] = "reglu"

    formula = "a max(0, b)"
    references = (f"{SHAZEER_2020}, eq. 5",)

    @property
    def gate(self) -> BaseActivation:
        return Relu()


class GeGlu(GatedLinearUnit):
    """a gelu(b), gelu exact."""

    kind: Literal["geglu"] = "geglu"

    formula = "a b Phi(b)"
    references = (f"{SHAZEER_2020}, eq. 5",)

    @property
    def gate(self) -> BaseActivation:
        return Gelu()


class SwiGlu(GatedLinearUnit):
    """a silu(b)."""

    kind: Literal["swiglu"] = "swiglu"

    formula = "a b / (1 + exp(-b))"
    references = (f"{SHAZEER_2020}, eq. 5",)

    @property
    def gate(self) -> BaseActivation:
        return Silu()


class Bilinear(GatedLinearUnit):
    """a b, without a non-linearity in the gate."""

    kind: Literal["bilinear"] = "bilinear"

    formula = "a b"
    references = (
        "Mnih & Hinton 2007, Three new graphical models for statistical language modelling",
        f"{SHAZEER_2020}, eq. 5",
    )

    @property
    def gate(self) -> BaseActivation:
        return Identity()
