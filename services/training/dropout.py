"""Dropout masks that depend on a trial's seed and the epoch alone, not on its neighbours or its device."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from services.science.models.layers import Stage
from services.science.streams import Purpose, stream

Masks = dict[int, Tensor]
"""By layer index, which activations stay: booleans ``[seeds, rows, *shape]``."""


class DropoutMasks:
    """Draws the masks of one epoch, batch by batch and layer by layer, from ``stream(seed, dropout, epoch)``.

    A layer's draw is ``random((rows, *shape), dtype=float32)``, shape being that of what one row leaves to the next
    layer; an activation stays where the number is at least the rate.
    """

    def __init__(self, stages: Sequence[Stage], seeds: Sequence[int], device: str) -> None:
        self._stages = [stage for stage in stages if stage.dropout > 0.0]
        self._seeds = tuple(seeds)
        self._device = device
        self._streams: list[np.random.Generator] = []

    def start_epoch(self, epoch: int) -> None:
        """Begin the epoch's streams; 1-based."""
        self._streams = [stream(seed, Purpose.DROPOUT, epoch) for seed in self._seeds] if self._stages else []

    def draw(self, rows: int) -> Masks:
        """The masks of the next batch; empty without dropout."""
        masks: Masks = {}
        for stage in self._stages:
            shape = (rows, *stage.shape)
            surviving = [rng.random(shape, dtype=np.float32) >= np.float32(stage.dropout) for rng in self._streams]
            masks[stage.layer.index] = torch.from_numpy(np.stack(surviving)).to(self._device)
        return masks


def drop(x: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Keep the activations under `mask`, enlarged so that the expectation stays."""
    return x * mask.to(x.dtype).mul_(1.0 / (1.0 - rate))
