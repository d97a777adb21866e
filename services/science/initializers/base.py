"""What every initializer is: a pure draw from a generator, with the moments that theory gives it."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from services.science.activations.base import BaseActivation
from services.science.base import Member

FloatArray = NDArray[np.float64]
Shape = tuple[int, ...]
LARGEST = 1e6
"""Bound of every parameter of a scale: weights beyond it overflow float32 within a layer or two."""


def fans(shape: Shape) -> tuple[int, int]:
    """Fan-in and fan-out of a weight.

    A dense weight has shape (fan_in, fan_out). A kernel has shape (out, in, *window) and its fans are
    in * prod(window) and out * prod(window). A vector counts its length twice, as Keras does.

    Raises:
        ValueError: a scalar, or an axis that is not positive.
    """
    if not shape or any(size < 1 for size in shape):
        raise ValueError(f"a weight needs at least one axis and positive sizes, not shape {shape}")
    if len(shape) == 1:
        return shape[0], shape[0]
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


@dataclass(frozen=True, slots=True)
class LayerContext:
    """Where a weight sits in its network."""

    fan_in: int
    fan_out: int
    layer: int = 0
    """Number of the weight layer from the input, 0-based."""
    depth: int = 1
    """Number of weight layers in the network."""
    is_output: bool = False
    """Whether this is the last, linear layer."""
    activation: BaseActivation | None = None
    """The network's hidden activation; None where it is not known, which initializers that need one refuse."""
    residual_branches: int = 0
    """Number of residual branches in the network."""
    is_residual_last: bool = False
    """Whether this layer closes a residual branch."""
    before: tuple[Shape, ...] = ()
    """Shapes of the weights before this one, from the input on; only sequential initializers look at them."""

    @classmethod
    def of(cls, shape: Shape, **fields: Any) -> Self:
        """The context of a weight of this shape, its fans filled in."""
        fan_in, fan_out = fans(shape)
        return cls(fan_in=fan_in, fan_out=fan_out, **fields)


@dataclass(frozen=True, slots=True)
class Moments:
    """What theory says of one entry of a weight; None where it is unbounded, or depends on the data."""

    mean: float | None
    std: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: FloatArray) -> Self:
        """The moments of a weight that holds no randomness."""
        return cls(float(values.mean()), float(values.std()), float(values.min()), float(values.max()))


class BaseInitializer(Member):
    """How the first weights of a layer are drawn.

    `draw` takes everything random from the generator it is given, in float64 and in C order, and wherever it can in
    one call of the weight's own shape, so that a few lines of NumPy draw the same numbers.
    """

    fan_convention: ClassVar[str] = "none"
    """Which fans the scale depends on."""
    gain_note: ClassVar[str] = ""
    """Which activation the scale is meant for, and what it does to sigma_w^2 = fan_in * variance."""
    data_dependent: ClassVar[bool] = False
    """Whether the engine rescales the draw on a batch of training rows."""
    needs_activation: ClassVar[bool] = False
    """Whether the draw depends on the network's activation."""
    sequential: ClassVar[bool] = False
    """Whether a generator of the initializer's own draws one layer after the other.

    A draw then needs the shapes of the layers before, and is the same whatever the trial's seed.
    """

    @abstractmethod
    def draw(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        """Draw a weight.

        Args:
            shape: (fan_in, fan_out) of a dense layer, or (out, in, *window) of a kernel.
            rng: the generator of (seed, weights, layer).
            context: the layer's place in the network.

        Returns:
            float64 array of that shape.

        Raises:
            ValueError: this initializer has no weight of that shape in that place.
        """
        raise NotImplementedError

    @abstractmethod
    def theory(self, shape: Shape, context: LayerContext) -> Moments:
        """Mean, standard deviation and support of one entry of what `draw` gives."""
        raise NotImplementedError

    def draw_bias(self, shape: Shape, rng: np.random.Generator, context: LayerContext) -> FloatArray:
        """Draw a bias: zeros, unless the member says otherwise. `rng` is the generator of (seed, biases, layer)."""
        return np.zeros(shape)

    def bias_variance_of(self, context: LayerContext) -> float:
        """Variance of one entry of the bias, sigma_b^2: zero, unless the member says otherwise."""
        return 0.0
