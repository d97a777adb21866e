"""The training loop: epochs, divergence and stopping, the same for every engine."""

import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services import faults
from services.training.engine import CohortDescription, Engine, EpochSums, Rows, State
from services.training.measuring import Measuring
from services.training.metrics import Metrics, epoch_metrics, other_metrics, target_scatter
from services.training.observer import Divergence, EpochReport, Observer

LONG_EPOCH_SECONDS = 0.2
"""An epoch expected to last longer is rolled back on a pause; a shorter one is finished."""

HEALTHY = -1


class TrainingRun:
    """Takes a cohort from its present epoch to the last.

    Attributes:
        epoch: the last finished epoch; -1 before the untrained networks are measured.
        diverged_at: per slot, the epoch in which it diverged, or -1.
    """

    def __init__(
        self,
        engine: Engine,
        description: CohortDescription,
        rows: Rows,
        observer: Observer,
        measuring: Measuring | None = None,
    ) -> None:
        self.engine = engine
        self.description = description
        self.observer = observer
        self.measuring = measuring
        self.epoch = -1
        self.diverged_at: NDArray[np.int64] = np.full(len(description.trials), HEALTHY, dtype=np.int64)
        self._scatter = 0.0 if description.classifies else target_scatter(rows.y_validation)
        self._seconds = float("inf")

    def run(self) -> Literal["done", "stopped"]:
        """Train until the last epoch, until every trial has diverged, or until the observer asks to stop."""
        while self.epoch < self.description.epochs and (self.diverged_at == HEALTHY).any():
            if self.observer.stop_now() or self.observer.stop_soon():
                return "stopped"
            faults.point("child.before_epoch", epoch=self.epoch + 1)
            report = self._next_epoch()
            if report is None:
                return "stopped"
            faults.point("child.after_epoch", epoch=self.epoch)
            self.observer.epoch(report, self.state)
        return "done"

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything needed to go on bit for bit after the last finished epoch."""
        return {**self.engine.state(), "diverged_at": self.diverged_at.copy()}

    def resume(self, epoch: int, state: State) -> None:
        """Go on after `epoch` from what `state` gave then.

        Raises:
            ValueError: a state of another cohort.
        """
        own = {name: array for name, array in state.items() if name != "diverged_at"}
        if len(own) == len(state) or state["diverged_at"].shape != self.diverged_at.shape:
            raise ValueError("the state does not say which of this cohort's trials have diverged")
        self.engine.load_state(own)
        self.diverged_at = np.array(state["diverged_at"], dtype=np.int64)
        self.epoch = epoch

    def _next_epoch(self) -> EpochReport | None:
        """Train and measure one epoch; None, with the state of the last finished one, when asked to stop."""
        began = time.perf_counter()
        epoch = self.epoch + 1
        before = self.engine.state() if epoch > 0 and self._seconds > LONG_EPOCH_SECONDS else None
        measuring = self.measuring if self.measuring is not None and self.measuring.probe.due(epoch) else None
        weights = self.engine.parameters() if measuring is not None and epoch > 0 else None

        def tick(fraction: float) -> bool:
            self.observer.progress(epoch, fraction)
            return self.observer.stop_now() or (before is not None and self.observer.stop_soon())

        training: EpochSums | None = None
        if epoch > 0:
            training = self.engine.train_epoch(epoch, tick)
        validation = self.engine.evaluate(tick) if epoch == 0 or training is not None else None
        if validation is None:
            if before is not None:
                self.engine.load_state(before)
            return None
        metrics = epoch_metrics(training, validation, self.description.outputs, self._scatter)
        extra = other_metrics(validation, self.description.outputs, self._scatter)
        diverged = self._freeze(epoch, metrics, extra)
        self.epoch = epoch
        self._seconds = time.perf_counter() - began
        layers = None
        if measuring is not None:
            layers = measuring.begin(self.engine.state(), weights, self.diverged_at == HEALTHY, validation.reach)
        return EpochReport(epoch, self._seconds, metrics, extra, diverged, layers)

    def _freeze(self, epoch: int, metrics: Metrics, extra: Metrics) -> tuple[Divergence, ...]:
        """Find the slots that diverged in this epoch and blank the numbers of those that did before."""
        frozen = self.diverged_at != HEALTHY
        for table in (metrics, extra):
            for name, values in table.items():
                table[name] = np.where(frozen, np.nan, values)
        finite = self.engine.finite()
        losses = [metrics["val_loss"]] if epoch == 0 else [metrics["train_loss"], metrics["val_loss"]]
        ill = ~(finite.all(axis=1) & np.isfinite(losses).all(axis=0)) & ~frozen
        divergences: list[Divergence] = []
        for slot in np.flatnonzero(ill):
            self.diverged_at[slot] = epoch
            bad = np.flatnonzero(~finite[slot])
            layer = self.description.weight_layers[bad[0]].name if len(bad) else "loss"
            divergences.append(Divergence(int(slot), layer))
        return tuple(divergences)
