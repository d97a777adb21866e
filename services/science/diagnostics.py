"""Which numbers of each layer are kept, and after which epochs."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator

from services.science.base import Strict, counted

Quantity = Literal[
    "moments", "histogram", "saturation", "dead_units", "gradients", "update_ratio", "distinct_units", "effective_rank"
]

QUANTITIES: tuple[Quantity, ...] = (
    "moments",
    "histogram",
    "saturation",
    "dead_units",
    "gradients",
    "update_ratio",
    "distinct_units",
    "effective_rank",
)

LAST_EPOCH = 10_000

HISTOGRAM_EDGES: tuple[float, ...] = tuple(
    round(float(edge), 4) for edge in 0.2222 * np.sinh(0.225 * np.arange(-20, 21))
)
"""Edges of the 40 bins of every activation histogram: 0.05 wide around 0, growing to cover -10 to 10."""


class Diagnostics(Strict):
    """What is measured of every layer of every trial.

    `schedule` is ``log`` (epochs 0, 1, 2, 4, 8, ... and the last), ``every``, or a list of epochs; epoch 0 is the
    untrained network. No schedule changes a trial's numbers.
    """

    schedule: Annotated[
        Literal["log", "every"] | tuple[Annotated[int, Field(ge=0, le=LAST_EPOCH)], ...], counted(LAST_EPOCH + 1)
    ] = Field(default="log", description="log, every, or a list of epochs.")
    quantities: Annotated[tuple[Quantity, ...], counted(len(QUANTITIES))] = Field(
        default=QUANTITIES, min_length=1, description="Which numbers are kept."
    )

    @field_validator("schedule", "quantities")
    @classmethod
    def _no_doubles(cls, value: object) -> object:
        if isinstance(value, tuple) and len(set(value)) < len(value):
            raise ValueError("the same entry stands twice; every entry must differ")
        return value

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether the layers are measured after `epoch` of a run of `epochs`."""
        if self.schedule == "every":
            return True
        if self.schedule == "log":
            return epoch & (epoch - 1) == 0 or epoch == epochs
        return epoch in self.schedule
