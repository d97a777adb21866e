"""A small convolutional network of the VGG shape, for images."""

import math
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from services.science.base import Member
from services.science.models.layers import BatchNorm, Inputs, Rate, Stage, WeightLayer, Width

KERNEL = 3
"""Height and width of every kernel."""


def _after_by_default(value: Any) -> Any:
    """True and an object without a position mean batch norm after the activation; null means none."""
    if value is None:
        return False
    if value is True:
        return {"position": "after"}
    return {"position": "after", **value} if isinstance(value, dict) else value


CnnNorm = Annotated[
    Annotated[BatchNorm, Tag("object")] | Annotated[Literal[False], Tag("none")],
    Discriminator(lambda value: "none" if value is False else "object"),
    BeforeValidator(_after_by_default, json_schema_input_type=BatchNorm | bool | None),
]
"""Batch normalisation's object, or false: null would mean the default in a stored spec."""


class Cnn(Member):
    """Blocks of 3 x 3 convolutions that keep the size, each block ended by 2 x 2 max pooling; then dense layers.

    Every convolution is followed by the activation and batch normalisation, in the order its `position` says; every
    block ends in pooling and dropout; dense layers have batch normalisation and dropout too; the output is linear.
    Between the blocks and the dense layers a row is flattened in the order height, width, channel.
    """

    formula: ClassVar[str] = "per block: n x (conv 3x3, f, batch norm), max pool 2x2, dropout; then dense layers"
    references: ClassVar[tuple[str, ...]] = ("Simonyan & Zisserman 2015", "Ioffe & Szegedy 2015")

    kind: Literal["cnn"] = "cnn"
    blocks: tuple[tuple[Width, ...], ...] = Field(
        default=((32, 32), (64, 64), (128, 128)),
        min_length=1,
        max_length=8,
        description="Channels of the convolutions of each block.",
    )
    dense: tuple[Width, ...] = Field(
        default=(128,), min_length=0, max_length=16, description="Units of the dense hidden layers."
    )
    batch_norm: CnnNorm = Field(
        default=BatchNorm(position="after"),
        description="Batch normalisation of every hidden layer: true, or an object; false for none.",
    )
    dropout: tuple[Rate, ...] | None = Field(
        default=None,
        max_length=24,
        description=(
            "Rates after each block and each dense hidden layer, or one number for all of them. "
            "Default: 0.2, 0.3, 0.4, and 0.5 from there on."
        ),
    )

    @field_validator("dropout", mode="before")
    @classmethod
    def _one_rate(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _shape_fits(self) -> Self:
        if any(not block for block in self.blocks):
            message = "a block has no convolution; give each block at least one number of channels"
            raise ValueError(message)
        places = len(self.blocks) + len(self.dense)
        if self.dropout is not None and len(self.dropout) not in (1, places):
            message = f"dropout has {len(self.dropout)} rates; give one for all, or one for each of {places} places"
            raise ValueError(message)
        return self

    def rates(self) -> tuple[float, ...]:
        """The dropout rate after each block, then after each dense hidden layer."""
        places = len(self.blocks) + len(self.dense)
        if self.dropout is None:
            return tuple(min(2 + place, 5) / 10 for place in range(places))
        return self.dropout if len(self.dropout) == places else self.dropout * places

    def stages(self, inputs: Inputs, outputs: int, width_factor: int = 1) -> tuple[Stage, ...]:
        """Return the layers that own weights with what follows them.

        Args:
            inputs: ``(channels, height, width)`` of a row.
            outputs: classes, or numbers of a regression.
            width_factor: 2 for gated units, which take twice as many pre-activations.

        Raises:
            ValueError: rows that are no images, or images too small for the number of blocks.
        """
        if isinstance(inputs, int) or len(inputs) != 3:
            shape = (inputs,) if isinstance(inputs, int) else tuple(inputs)
            raise ValueError(
                f"`model` cnn needs images of (channels, height, width); a row of this data set has shape {shape}"
            )
        channels, height, width = inputs
        if min(height, width) < 2 ** len(self.blocks):
            most = int(math.log2(min(height, width)))
            raise ValueError(
                f"`model` has {len(self.blocks)} blocks, each of which halves the image; one of {height} x {width} "
                f"allows at most {most}"
            )
        rates = self.rates()
        stages: list[Stage] = []
        area = KERNEL * KERNEL
        for number, block in enumerate(self.blocks):
            for place, units in enumerate(block):
                kernels, last = units * width_factor, place == len(block) - 1
                layer = WeightLayer(
                    f"conv_{len(stages)}",
                    (kernels, channels, KERNEL, KERNEL),
                    channels * area,
                    kernels * area,
                    len(stages),
                    is_output=False,
                )
                dropout = rates[number] if last else 0.0
                space = (height, width)
                stages.append(Stage(layer, space, units, self.batch_norm or None, pooled=last, dropout=dropout))
                channels = units
            height, width = height // 2, width // 2
        entering = channels * height * width
        for units, rate in zip(self.dense, rates[len(self.blocks) :], strict=True):
            wide = units * width_factor
            layer = WeightLayer(f"dense_{len(stages)}", (entering, wide), entering, wide, len(stages), is_output=False)
            stages.append(Stage(layer, (), units, self.batch_norm or None, dropout=rate))
            entering = units
        layer = WeightLayer(f"dense_{len(stages)}", (entering, outputs), entering, outputs, len(stages), is_output=True)
        return (*stages, Stage(layer, (), outputs))

    def weight_layers(self, inputs: Inputs, outputs: int, width_factor: int = 1) -> tuple[WeightLayer, ...]:
        """Return the layers of `stages` that own weights."""
        return tuple(stage.layer for stage in self.stages(inputs, outputs, width_factor))
