"""The training loop: epochs, divergence and stopping, the same for every engine."""

import time
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from services import faults
from services.training.engine import CohortDescription, Engine, EvaluationSums, Rows, State, no_sums
from services.training.measuring import Measuring
from services.training.metrics import Metrics, epoch_metrics, other_metrics, target_scatter
from services.training.observer import Divergence, EpochReport, Observer
from services.training.set_down import Begun, begun_from, parted

LONG_EPOCH_SECONDS = 0.2
"""An epoch that lasts longer, or whose last did, is set down at a batch on a pause; a shorter one is finished."""

HEALTHY = -1


class TrainingRun:
    """Takes a cohort from its present epoch to the last.

    Attributes:
        epoch: the last finished epoch; -1 before the untrained networks are measured.
        begun: how far the next one has come; None where it has not begun.
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
        self._entered = 0.0
        self.begun: Begun | None = None
        self._beginning = no_sums(
            len(description.trials), len(rows.x_train), description.batch_size, classifies=description.classifies
        )

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
        """Everything needed to go on bit for bit after the last finished epoch, or from the batch that came last."""
        begun = self.begun.arrays() if self.begun is not None and self.begun.sums.batches.any() else {}
        return {**self.engine.state(), "diverged_at": self.diverged_at.copy(), **begun}

    def resume(self, epoch: int, state: State) -> None:
        """Go on after `epoch` from what `state` gave then, or later in the next epoch.

        Raises:
            ValueError: a state of another cohort.
        """
        inside, rest = parted(state)
        own = {name: array for name, array in rest.items() if name != "diverged_at"}
        if len(own) == len(rest) or state["diverged_at"].shape != self.diverged_at.shape:
            raise ValueError("the state does not say which of this cohort's trials have diverged")
        self.engine.load_state(own)
        if inside:
            layers = self.engine.parameters() if self._measured(epoch + 1) is not None else None
            self.begun = begun_from(inside, self._beginning, layers)
        self.diverged_at = np.array(state["diverged_at"], dtype=np.int64)
        self.epoch = epoch

    def _measured(self, epoch: int) -> Measuring | None:
        """What looks at the layers after this epoch, if anything does."""
        return self.measuring if self.measuring is not None and self.measuring.probe.due(epoch) else None

    def _next_epoch(self) -> EpochReport | None:
        """Train and measure one epoch; None when asked to stop: then a long one is set down where it was."""
        epoch = self.epoch + 1
        if epoch > 0 and not self._train(epoch):
            return None
        began = time.perf_counter()
        validation = self._evaluate(epoch)
        if validation is None:
            return None
        training, weights, seconds = None, None, 0.0
        if self.begun is not None:
            training, weights, seconds = self.begun.sums, self.begun.before, self.begun.seconds
        metrics = epoch_metrics(training, validation, self.description.outputs, self._scatter)
        extra = other_metrics(validation, self.description.outputs, self._scatter)
        diverged = self._freeze(epoch, metrics, extra)
        self.epoch, self.begun = epoch, None
        self._seconds = seconds + time.perf_counter() - began
        layers = None
        if (measuring := self._measured(epoch)) is not None:
            layers = measuring.begin(self.engine.state(), weights, self.diverged_at == HEALTHY, validation.reach)
        return EpochReport(epoch, self._seconds, metrics, extra, diverged, layers)

    def _train(self, epoch: int) -> bool:
        """Train an epoch to its end; false when asked to stop, with what is done of it in `begun`."""
        self._entered = time.perf_counter()
        if self.begun is None:
            before = self.engine.parameters() if self._measured(epoch) is not None else None
            self.begun = Begun(self._beginning, 0.0, before)

        def tick(fraction: float) -> bool:
            self.observer.progress(epoch, fraction)
            return self._stops(epoch) or self.observer.save_soon()

        begun = self.begun
        while not begun.sums.whole:
            faults.point("child.before_batches", epoch=epoch, batch=int(begun.sums.batches.min()))
            began = time.perf_counter()
            sums = self.engine.train_epoch(epoch, tick, begun.sums)
            seconds = begun.seconds + time.perf_counter() - began
            self.begun = begun = Begun(sums, seconds, begun.before)
            if not sums.whole:
                self.observer.progress(epoch, sums.share)
                if self._stops(epoch):
                    return False
                self.observer.set_down(self.epoch, self.state)
        return True

    def _evaluate(self, epoch: int) -> EvaluationSums | None:
        """Measure on the validation rows; None when asked to stop. That begins anew when the epoch is gone on with."""

        def tick(fraction: float) -> bool:
            self.observer.progress(epoch, fraction)
            return self._stops(epoch)

        validation = self.engine.evaluate(tick)
        if validation is None:
            self.observer.progress(epoch, 1.0)
        return validation

    def _stops(self, epoch: int) -> bool:
        """Whether the work is to be set down in the middle of this epoch."""
        seconds = max(self._seconds, time.perf_counter() - self._entered)
        long = epoch > 0 and seconds > LONG_EPOCH_SECONDS
        return self.observer.stop_now() or (long and self.observer.stop_soon())

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
