"""Weights without randomness that have a structure: identities, and Hadamard matrices where a layer widens."""

import math
from abc import abstractmethod
from typing import Literal

import numpy as np
from pydantic import Field
from scipy.linalg import hadamard

from services.science.initializers.base import LARGEST, BaseInitializer, FloatArray, LayerContext, Moments, Shape
from services.science.initializers.shapes import centre_tap, matrix_shape


class _Deterministic(BaseInitializer):
    """Takes nothing from the generator."""

    @abstractmethod
    def weight(self, shape: Shape, context: LayerContext) -> FloatArray:
        """The one weight of this shape in this place."""
        raise NotImplementedError

    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        return self.weight(shape, context)

    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        return Moments.of(self.weight(shape, context))


class IdentityMatrix(_Deterministic):
    """The identity matrix times a gain; what does not fit a rectangular layer is zero. Dense layers only."""

    kind: Literal["identity"] = "identity"
    gain: float = Field(default=1.0, ge=-LARGEST, le=LARGEST)

    formula = "gain I"
    gain_note = "a deep square network starts as gain^depth times the identity; units without an input stay silent"
    references = (
        "Le, Jaitly & Hinton 2015, A simple way to initialize recurrent networks of rectified linear units",
        "Keras Identity; torch.nn.init.eye_",
    )

    def weight(self, shape: Shape, context: LayerContext) -> FloatArray:
        if len(shape) != 2:
            raise ValueError(f"identity needs a dense weight of two axes, not shape {shape}; dirac is its kernel form")
        return self.gain * np.eye(*shape)


class Dirac(_Deterministic):
    """A kernel that passes its input channels on unchanged, as many as fit; a dense weight is the identity.

    With groups, each group of output channels repeats the first input channels.
    """

    kind: Literal["dirac"] = "dirac"
    groups: int = Field(default=1, ge=1, le=8192)

    formula = "w[g out/groups + d, d, middle] = 1 for d < min(out / groups, in), else 0"
    gain_note = "the layer starts as the identity on its first channels"
    references = (
        "Zagoruyko & Komodakis 2017, DiracNets: training very deep neural networks without skip-connections",
        "torch.nn.init.dirac_, which has no dense form",
    )

    def weight(self, shape: Shape, context: LayerContext) -> FloatArray:
        matrix_shape(self.kind, shape)
        if len(shape) == 2:
            return np.eye(*shape)
        if shape[0] % self.groups:
            raise ValueError(f"dirac's groups must divide the {shape[0]} output channels, but {self.groups} does not")
        return centre_tap(shape, np.tile(np.eye(shape[0] // self.groups, shape[1]), (self.groups, 1)))


class Zero(_Deterministic):
    """ZerO: no randomness at all, yet no symmetry; identities, and where a layer widens a Hadamard matrix.

    Where outputs are no more than inputs: the identity on the first ones. Where they are more: with m = ceil(log2 out),
    the first rows and columns of the Hadamard matrix of order 2^m, over sqrt(2^m). The paper prints 2^(-(m - 1) / 2)
    for that factor; the orthonormal 2^(-m / 2) is what its code uses and what is used here. A layer that closes a
    residual branch is zero. A kernel holds this at its middle tap.
    """

    kind: Literal["zero"] = "zero"

    formula = "I, or H / sqrt(2^m) in a widening layer, or 0 where a residual branch ends"
    gain_note = "signals keep their norm where the width is a power of two; the rank grows in training"
    references = (
        "Zhao, Schaefer & Anandkumar 2022, ZerO initialization: initializing networks with only zeros and ones",
    )

    def weight(self, shape: Shape, context: LayerContext) -> FloatArray:
        matrix_shape(self.kind, shape)
        if context.is_residual_last:
            return np.zeros(shape)
        if len(shape) == 2:
            return self._matrix(fan_in=shape[0], fan_out=shape[1])
        return centre_tap(shape, self._matrix(fan_in=shape[1], fan_out=shape[0]).T)

    @staticmethod
    def _matrix(fan_in: int, fan_out: int) -> FloatArray:
        if fan_out <= fan_in:
            return np.eye(fan_in, fan_out)
        order = 1 << (fan_out - 1).bit_length()
        return hadamard(order)[:fan_in, :fan_out] / math.sqrt(order)
