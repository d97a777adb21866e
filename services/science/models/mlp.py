"""The multilayer perceptron: dense layers, each followed by the activation, then a linear output."""

import itertools
from typing import ClassVar, Literal

from pydantic import Field

from services.science.base import Member
from services.science.models.layers import WeightLayer, Width


class Mlp(Member):
    """Dense hidden layers, each followed by the activation; then a linear output (regression) or logits.

    Every layer starts from the arm's initializer, the output layer included; biases start at zero.
    """

    formula: ClassVar[str] = "h_l = f(h_{l-1} W_l + b_l), y = h_L W_{L+1} + b_{L+1}"
    references: ClassVar[tuple[str, ...]] = ("Rumelhart, Hinton & Williams 1986",)

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Width, ...] = Field(
        default=(50, 50), min_length=0, max_length=128, description="Units of each hidden layer."
    )

    def weight_layers(self, inputs: int, outputs: int) -> tuple[WeightLayer, ...]:
        """Return the layers that own weights for `inputs` features and `outputs` outputs."""
        sizes = (inputs, *self.hidden, outputs)
        last = len(sizes) - 2
        return tuple(
            WeightLayer(f"dense_{i}", (a, b), a, b, i, i == last) for i, (a, b) in enumerate(itertools.pairwise(sizes))
        )
