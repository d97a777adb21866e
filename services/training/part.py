"""The trials of a cohort that are run together, and what belongs to them alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.science.models.layers import Stage
from services.science.optimizers import BaseOptimizer
from services.training.dropout import DropoutMasks, Masks
from services.training.updates import UPDATES, Update


@dataclass(frozen=True)
class Part:
    """Some trials in a row, in the network's order.

    Attributes:
        trials: which they are.
        seeds: the places of their different seeds among the cohort's.
        update: moves their master weights.
    """

    trials: slice
    seeds: Tensor
    update: Update
    _masks: DropoutMasks
    _seed_of_trial: Tensor | None

    @classmethod
    def of(
        cls,
        trials: slice,
        seed_of_trial: NDArray[np.int64],
        seeds: Sequence[int],
        optimizers: Sequence[BaseOptimizer],
        master: Tensor,
        stages: Sequence[Stage],
        epochs: int,
    ) -> "Part":
        """Cut what belongs to `trials` out of what belongs to the cohort.

        Raises:
            ValueError: trials with different kinds of optimizer.
        """
        own, places = np.unique(seed_of_trial[trials], return_inverse=True)
        kinds = {optimizer.kind for optimizer in optimizers[trials]}
        if len(kinds) != 1:
            raise ValueError(f"the trials of a cohort share one kind of optimizer, not {sorted(kinds)}")
        device = master.device
        one_each = np.array_equal(places, np.arange(len(own)))
        return cls(
            trials,
            torch.from_numpy(own).to(device),
            UPDATES[kinds.pop()](optimizers[trials], master[trials], epochs),
            DropoutMasks(stages, [seeds[place] for place in own], str(device)),
            None if one_each else torch.from_numpy(places).to(device),
        )

    def start_epoch(self, epoch: int, rows: int, steps: int) -> None:
        """Begin an epoch, 1-based, or go on with it after so many `rows`; `steps` is how many were taken in all."""
        self.update.start_epoch(epoch)
        self.update.steps = steps
        self._masks.start_epoch(epoch, rows)

    def masks(self, rows: int) -> Masks:
        """What dropout lets stay of the next batch, ``[trials, rows, ...]`` by layer."""
        return {layer: self.of_trials(mask) for layer, mask in self._masks.draw(rows).items()}

    def of_trials(self, values: Tensor) -> Tensor:
        """From one entry for each of `seeds` to one for each trial."""
        return values if self._seed_of_trial is None else values.index_select(0, self._seed_of_trial)
