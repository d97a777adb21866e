"""What the training loop tells, and to whom: the loop neither stores nor prints."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.training.metrics import Metrics

Values = list[list[dict[str, Any]]]
"""Numbers by layer and slot, by name."""


@dataclass(frozen=True)
class Divergence:
    """A slot that became non-finite: `layer` is the first from the input that did, or ``loss``."""

    slot: int
    layer: str


@dataclass(frozen=True)
class LayerReport:
    """What one layer of one slot looked like after an epoch."""

    slot: int
    layer: str
    layer_index: int
    values: dict[str, Any]


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch of a cohort; epoch 0 is the untrained networks.

    Attributes:
        metrics: per slot; NaN from the epoch after a divergence on.
        extra: further metrics per slot, such as those under other batch norm statistics.
        diverged: the slots that diverged in this epoch.
        layers: what the layers looked like, where they are measured after this epoch; perhaps not known yet.
    """

    epoch: int
    seconds: float
    metrics: Metrics
    extra: Metrics = field(default_factory=dict)
    diverged: tuple[Divergence, ...] = ()
    layers: Future[tuple[LayerReport, ...]] | None = None

    @property
    def settled(self) -> bool:
        """Whether `diagnostics` answers at once."""
        return self.layers is None or self.layers.done()

    @property
    def diagnostics(self) -> tuple[LayerReport, ...]:
        """What the layers looked like; waits until it is known, and raises what kept it from being known."""
        return () if self.layers is None else self.layers.result()


StateOf = Callable[[], dict[str, NDArray[np.generic]]]
"""Gives the state after the epoch just reported, or of the batch at which the next one is set down."""


class Observer(Protocol):
    """Hears of every epoch, and may ask the loop to stop."""

    def epoch(self, report: EpochReport, state: StateOf) -> None:
        """An epoch is finished. `state` may be called before returning."""
        ...

    def progress(self, epoch: int, fraction: float) -> None:
        """Called at every batch: the epoch being worked on and the share of it that is done."""
        ...

    def stop_now(self) -> bool:
        """Whether to give up at once, in the middle of an epoch (a cancellation)."""
        ...

    def stop_soon(self) -> bool:
        """Whether to stop at the end of the epoch, or, in a long one, at the next batch (a pause or a drain)."""
        ...

    def save_soon(self) -> bool:
        """Whether to set the epoch down at the next batch for a checkpoint, and then go on; asked after `progress`."""
        ...

    def set_down(self, epoch: int, state: StateOf) -> None:
        """The epoch after `epoch` stands between two batches and goes on now. `state` may be called meanwhile."""
        ...
