"""What stands between the dense layers of the kernel's networks."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

NORMS = ("none", "batch", "layer")
"""In the order of `Norm` in shape.hpp."""

DRAWN_BITS = 24
"""Digits of the float32 numbers that dropout draws."""


@dataclass(frozen=True)
class Between:
    """Normalisation, dropout and skips of every hidden layer.

    Attributes:
        norm: sort of normalisation.
        after: whether it comes after the activation.
        epsilon: added to the variance under the square root.
        decay: share of batch norm's moving statistics that is kept at each step.
        dropout: share of the activations set to zero in training.
        residual: whether a hidden layer's input is added to its output where both are as wide.
    """

    norm: Literal["none", "batch", "layer"] = "none"
    after: bool = False
    epsilon: float = 1e-3
    decay: float = 0.99
    dropout: float = 0.0
    residual: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing but the activation."""
        return self.norm == "none" and not self.dropout and not self.residual

    @property
    def keep_from(self) -> int:
        """An activation stays where the 24 bits of its number are at least this: rate <= bits / 2^24 in float32."""
        return math.ceil(float(np.float32(self.dropout)) * 2**DRAWN_BITS)
