"""What the training rows of an epoch add up to on a device, in the network's trial order, while the epoch runs."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.training.engine import EpochSums


@dataclass(frozen=True)
class Tally:
    """Running sums ``[T]`` of an epoch. Parts of a cohort may add at once: each writes the places of its own trials.

    Attributes:
        loss: float64.
        hits: right answers, int64; zero for a regression.
        batches: how many are done, int64.
        batches_in_all: those of a whole epoch.
    """

    loss: Tensor
    hits: Tensor
    batches: NDArray[np.int64]
    batches_in_all: int

    @classmethod
    def of(cls, begun: EpochSums, order: NDArray[np.int64], device: str) -> "Tally":
        """Go on from sums by slot; `order` has the slots as the network has its trials."""
        hits = np.zeros(len(order)) if begun.correct is None else begun.correct[order]
        return cls(
            torch.from_numpy(begun.loss[order]).to(device),
            torch.from_numpy(hits.astype(np.int64)).to(device),
            begun.batches[order],
            begun.batches_in_all,
        )

    def add(self, trials: slice, batch: int, rows: int, losses: Tensor, hits: Tensor | None) -> None:
        """Add a batch, the first being 0: its mean loss and right answers, one of each for every one of `trials`."""
        self.loss[trials].add_(losses.double(), alpha=rows)
        if hits is not None:
            self.hits[trials] += hits
        self.batches[trials] = batch + 1

    def foremost(self, trials: slice) -> int:
        """The most batches that one of these trials has done.

        One whose loss is not finite does not count: the kernel is done with it where that happened.
        """
        begun = self.batches[trials]
        if (begun == begun[0]).all():
            return int(begun[0])
        healthy = torch.isfinite(self.loss[trials]).cpu().numpy()
        return int(begun[healthy].max()) if healthy.any() else self.batches_in_all
