"""Multilayer perceptrons: dense layers, each followed by the activation, then a linear output."""

import itertools
from abc import abstractmethod
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from services.science.base import Member
from services.science.models.layers import (
    BatchNormChoice,
    Inputs,
    LayerNormChoice,
    Rate,
    Stage,
    WeightLayer,
    Width,
    features,
)


class Perceptron(Member):
    """What the multilayer perceptrons share: what stands between their dense layers."""

    kind: Any = None
    """Each member has its own name here."""
    batch_norm: BatchNormChoice = Field(
        default=None, description="Batch normalisation of every hidden layer: true, or an object; null for none."
    )
    layer_norm: LayerNormChoice = Field(
        default=None, description="Layer normalisation of every hidden layer: true, or an object; null for none."
    )
    dropout: Rate = Field(default=0.0, description="Share of every hidden layer's activations set to zero in training.")
    residual: bool = Field(
        default=False, description="Add a hidden layer's input to its output where both have the same width."
    )

    @property
    @abstractmethod
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        raise NotImplementedError

    @property
    def unscaled(self) -> bool:
        """Whether nothing between the dense layers rescales or adds signals: what signal propagation is about."""
        return not (self.batch_norm or self.layer_norm or self.residual)

    def stages(self, inputs: Inputs, outputs: int, width_factor: int = 1) -> tuple[Stage, ...]:
        """Return the layers that own weights with what follows them, for rows of `inputs` and `outputs` outputs.

        Widths count units after the activation. A gated unit takes `width_factor` = 2 pre-activations, so the weight
        before it is twice as wide.
        """
        sizes = tuple(itertools.pairwise((features(inputs), *self.widths, outputs)))
        stages: list[Stage] = []
        for index, (fan_in, units) in enumerate(sizes):
            if index == len(sizes) - 1:
                layer = WeightLayer(f"dense_{index}", (fan_in, units), fan_in, units, index, is_output=True)
                stages.append(Stage(layer, (), units))
                continue
            fan_out = units * width_factor
            layer = WeightLayer(f"dense_{index}", (fan_in, fan_out), fan_in, fan_out, index, is_output=False)
            skip = self.residual and fan_in == units
            norms = self.batch_norm, self.layer_norm
            stages.append(Stage(layer, (), units, *norms, dropout=self.dropout, skip=skip))
        return tuple(stages)

    def weight_layers(self, inputs: Inputs, outputs: int, width_factor: int = 1) -> tuple[WeightLayer, ...]:
        """Return the layers of `stages` that own weights."""
        return tuple(stage.layer for stage in self.stages(inputs, outputs, width_factor))

    @model_validator(mode="after")
    def _one_norm(self) -> Self:
        if self.batch_norm and self.layer_norm:
            message = "batch_norm and layer_norm exclude each other; give one of them"
            raise ValueError(message)
        return self


class Mlp(Perceptron):
    """Dense hidden layers, each followed by the activation; then a linear output (regression) or logits.

    Every layer starts from the arm's initializer, the output layer included; biases start at zero.
    """

    formula: ClassVar[str] = "h_l = f(h_{l-1} W_l + b_l), y = h_L W_{L+1} + b_{L+1}"
    references: ClassVar[tuple[str, ...]] = ("Rumelhart, Hinton & Williams 1986",)

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Width, ...] = Field(
        default=(50, 50), min_length=0, max_length=128, description="Units of each hidden layer."
    )

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return self.hidden


class DeepMlp(Perceptron):
    """A multilayer perceptron of many equal hidden layers, for studies of how signals travel through depth."""

    formula: ClassVar[str] = Mlp.formula
    references: ClassVar[tuple[str, ...]] = ("Poole et al. 2016", "Schoenholz et al. 2017")

    kind: Literal["deep_mlp"] = "deep_mlp"
    depth: int = Field(default=30, ge=1, le=128, description="Hidden layers.")
    width: Width = Field(default=100, description="Units of each hidden layer.")

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return (self.width,) * self.depth
