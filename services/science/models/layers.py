"""Building blocks shared by the models: a weight layer's shape, and batch norm's numbers."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from services.science.base import Strict

Width = Annotated[int, Field(ge=1, le=8192)]
"""Units of a layer or channels of a convolution."""


@dataclass(frozen=True)
class WeightLayer:
    """One layer that owns a weight tensor, in order from the input.

    Attributes:
        name: stable name used in results, e.g. ``dense_0``.
        shape: ``(fan_in, fan_out)`` for a dense layer, ``(out, in, kh, kw)`` for a convolution.
        fan_in, fan_out: as design section 7 defines them.
        index: 0-based layer number from the input; also the index of its weight stream.
        is_output: true for the last, linear layer.
    """

    name: str
    shape: tuple[int, ...]
    fan_in: int
    fan_out: int
    index: int
    is_output: bool

    @property
    def parameters(self) -> int:
        """Weights plus biases."""
        weights = 1
        for size in self.shape:
            weights *= size
        return weights + (self.shape[1] if len(self.shape) == 2 else self.shape[0])


class BatchNorm(Strict):
    """Batch normalisation (Ioffe & Szegedy 2015) with Keras's meaning of `decay`.

    ``moving = decay * moving + (1 - decay) * batch``; PyTorch's ``momentum`` is ``1 - decay``.
    """

    decay: float = Field(0.99, ge=0.0, lt=1.0, description="Share of the old moving value that is kept at each step.")
    epsilon: float = Field(1e-3, gt=0.0, le=1.0, description="Added to the variance under the square root.")
    position: Literal["before", "after"] = Field("before", description="Before or after the activation.")
