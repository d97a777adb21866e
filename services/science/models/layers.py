"""Building blocks shared by the models: a weight layer's shape, what follows it, and the layers without weights."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from services.science.base import Strict

Width = Annotated[int, Field(ge=1, le=8192)]
"""Units of a layer or channels of a convolution."""

Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
"""Share of the units that dropout sets to zero."""

Inputs = int | tuple[int, ...]
"""Features of a row, or the shape of a row."""

Evaluation = Literal["moving", "recalibrated", "batch"]


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
    def channels(self) -> int:
        """Pre-activations at each place: the columns of a dense weight, the kernels of a convolution."""
        return self.shape[1] if len(self.shape) == 2 else self.shape[0]

    @property
    def parameters(self) -> int:
        """Weights plus biases."""
        return math.prod(self.shape) + self.channels


class BatchNorm(Strict):
    """Batch normalisation (Ioffe & Szegedy 2015) with Keras's meaning of `decay`.

    ``moving = decay * moving + (1 - decay) * batch``; PyTorch's ``momentum`` is ``1 - decay``. The variance is that of
    the population (ddof 0) everywhere. Scale starts at 1, shift at 0, moving mean at 0 and moving variance at 1.
    """

    decay: float = Field(
        default=0.99, ge=0.0, lt=1.0, description="Share of the old moving value that is kept at each step."
    )
    epsilon: float = Field(default=1e-3, gt=0.0, le=1.0, description="Added to the variance under the square root.")
    position: Literal["before", "after"] = Field(default="before", description="Before or after the activation.")
    evaluation: tuple[Evaluation, ...] = Field(
        default=("moving",),
        description=(
            "Statistics that validate: the moving ones, those of (the first 8,192) training rows under the present "
            "weights, or each validation batch's own. The first is what val_loss reports; the others are extra metrics "
            "such as val_loss_recalibrated."
        ),
    )

    @field_validator("evaluation", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("evaluation")
    @classmethod
    def _each_once(cls, value: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
        if not value or len(set(value)) < len(value):
            message = "give each of moving, recalibrated and batch at most once, and at least one of them"
            raise ValueError(message)
        return value


class LayerNorm(Strict):
    """Layer normalisation (Ba, Kiros & Hinton 2016) over a row's units; scale starts at 1, shift at 0."""

    epsilon: float = Field(default=1e-3, gt=0.0, le=1.0, description="Added to the variance under the square root.")
    position: Literal["before", "after"] = Field(default="before", description="Before or after the activation.")


def _switched(value: Any) -> Any:
    """True stands for the defaults, false for none."""
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


BatchNormChoice = Annotated[
    BatchNorm | None, BeforeValidator(_switched, json_schema_input_type=BatchNorm | bool | None)
]
"""Batch normalisation's object; true for its defaults, false or null for none."""
LayerNormChoice = Annotated[
    LayerNorm | None, BeforeValidator(_switched, json_schema_input_type=LayerNorm | bool | None)
]
"""Layer normalisation's object; true for its defaults, false or null for none."""


@dataclass(frozen=True)
class Stage:
    """A weight layer and what follows it up to the next one, in this order: activation, pooling, dropout, skip.

    Attributes:
        layer: the weights.
        space: ``()`` for a dense layer, ``(height, width)`` of a convolution's output before pooling.
        units: activations at each place (half of the pre-activations for gated units).
        batch_norm, layer_norm: a normalisation before or after the activation.
        pooled: whether 2 x 2 places are then reduced to their largest value.
        dropout: share of the activations set to zero.
        skip: whether the stage's input is added at the end.
    """

    layer: WeightLayer
    space: tuple[int, ...]
    units: int
    batch_norm: BatchNorm | None = None
    layer_norm: LayerNorm | None = None
    pooled: bool = False
    dropout: float = 0.0
    skip: bool = False

    @property
    def norm(self) -> BatchNorm | LayerNorm | None:
        """The normalisation, whichever it is."""
        return self.batch_norm or self.layer_norm

    @property
    def norm_width(self) -> int:
        """Scales of the normalisation: one per pre-activation, or per activation when it comes after."""
        if self.norm is None:
            return 0
        return self.layer.channels if self.norm.position == "before" else self.units

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what one row leaves to the next stage: ``(units,)`` or ``(height, width, units)``."""
        space = tuple(size // 2 for size in self.space) if self.pooled else self.space
        return (*space, self.units)

    @property
    def places(self) -> int:
        """How often one row uses the weights."""
        return math.prod(self.space)


def features(inputs: Inputs) -> int:
    """Numbers of one row."""
    return inputs if isinstance(inputs, int) else math.prod(inputs)


def parameters(stages: tuple[Stage, ...]) -> int:
    """Weights, biases, and the normalisations' scales and shifts."""
    return sum(stage.layer.parameters + 2 * stage.norm_width for stage in stages)
