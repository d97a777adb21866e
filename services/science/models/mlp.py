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

    def weight_layers(self, inputs: int, outputs: int, width_factor: int = 1) -> tuple[WeightLayer, ...]:
        """Return the layers that own weights for `inputs` features and `outputs` outputs.

        `hidden` counts units after the activation. A gated unit takes `width_factor` = 2 pre-activations, so the
        weight before it is twice as wide.
        """
        sizes = tuple(itertools.pairwise((inputs, *self.hidden, outputs)))
        layers: list[WeightLayer] = []
        for index, (fan_in, units) in enumerate(sizes):
            is_output = index == len(sizes) - 1
            fan_out = units if is_output else units * width_factor
            layers.append(WeightLayer(f"dense_{index}", (fan_in, fan_out), fan_in, fan_out, index, is_output))
        return tuple(layers)
