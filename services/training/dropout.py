"""Dropout masks that depend on a trial's seed and the epoch alone, not on its neighbours or its device."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from services.science.models.layers import Stage
from services.science.streams import Purpose, stream

NUMBERS_OF_A_BLOCK = 8
"""float32 numbers that NumPy makes of one step of Philox's counter: four words of two halves."""

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
        self._numbers_of_a_row = sum(math.prod(stage.shape) for stage in self._stages)

    def start_epoch(self, epoch: int, rows: int = 0) -> None:
        """Begin the epoch's streams; 1-based. `rows` were used before, so that their numbers are passed over."""
        self._streams = [stream(seed, Purpose.DROPOUT, epoch) for seed in self._seeds] if self._stages else []
        blocks, rest = divmod(rows * self._numbers_of_a_row, NUMBERS_OF_A_BLOCK)
        for rng in self._streams:
            bits = rng.bit_generator
            assert isinstance(bits, np.random.Philox)
            bits.advance(blocks)
            rng.random(rest, dtype=np.float32)

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
