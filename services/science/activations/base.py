"""What every activation is: a pair of elementwise functions on float64 arrays, with its limits, sources and advice."""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.science.base import Member

FloatArray = NDArray[np.float64]


class Recommendation(NamedTuple):
    """An initializer that suits an activation, why, and who says so."""

    initializer: str
    reason: str
    source: str


class BaseActivation(Member):
    """An activation of a hidden layer.

    Arrays in and out are float64 of any shape. At a kink `derivative` gives the subgradient that PyTorch's autograd
    gives, so that the engine and an independent script agree there too.
    """

    range: ClassVar[tuple[float | None, float | None]] = (None, None)
    """Infimum and supremum of the values at the default parameters; None where unbounded."""
    limits: ClassVar[tuple[str, str]] = ("-inf", "inf")
    """What the value tends to, or how it grows, as x goes to -inf and to +inf."""
    failure: ClassVar[str] = ""
    """How a network with it goes wrong, in a sentence."""
    recommended_initializers: ClassVar[tuple[Recommendation, ...]] = ()
    width_factor: ClassVar[int] = 1
    """Input width over output width: 2 for the gated linear units, which halve the last axis."""
    learned: ClassVar[tuple[str, ...]] = ()
    """Parameters that are only the starting point of a trained scalar (one per layer)."""
    finite_below: ClassVar[float | None] = None
    """The largest float64 input whose value is finite, where that is not all of them."""

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where the function is not smooth, because it or a derivative jumps, in increasing order."""
        return ()

    def bounds(self) -> tuple[float | None, float | None]:
        """Infimum and supremum of the values at these parameters; None where unbounded."""
        return type(self).range

    @abstractmethod
    def value(self, x: FloatArray) -> FloatArray:
        """f(x), elementwise."""
        raise NotImplementedError

    @abstractmethod
    def derivative(self, x: FloatArray) -> FloatArray:
        """f'(x), elementwise."""
        raise NotImplementedError

    def __call__(self, x: Any) -> FloatArray:
        """Evaluate f at anything that NumPy turns into a float64 array."""
        return self.value(np.asarray(x, dtype=np.float64))
