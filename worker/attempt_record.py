"""What one attempt adds to its worker's measurements and to the trace of its experiment."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from services.child_protocol import CheckpointReport, Energy, Epochs, Started
from services.cohorts.claim import Claim
from services.cohorts.failure import Failure
from services.heartbeat import boottime
from services.traces import NOTHING, Span, Traces
from worker.telemetry import CODES, DEVICES, ENGINES, METHODS, OUTCOMES, Telemetry, bounded


class AttemptRecord:
    """Told by the supervisor what happens; a few counters for each report of the child.

    Args:
        telemetry: the worker's.
        claim: what the attempt is about.
        claimed_at: when it began, in seconds after the start of the machine.
        traces: makes the child's span.
        span: the attempt's.
    """

    def __init__(
        self,
        telemetry: Telemetry,
        claim: Claim,
        claimed_at: float,
        *,
        traces: Traces | None = None,
        span: Span = NOTHING,
    ) -> None:
        self.telemetry = telemetry
        self._claim = claim
        self._claimed_at = claimed_at
        self._traces = traces or Traces()
        self._span = span
        self._child = NOTHING
        self._device = self._engine = bounded(None, ())
        self._sent_at = time.perf_counter()
        self._epochs = 0

    @contextmanager
    def training(self, pid: int) -> Generator[None]:
        """The time from the start message to the last word of the child, which has no collector of its own."""
        self._sent_at = time.perf_counter()
        with self._traces.span("child", pid=pid, trials=len(self._claim.trials)) as self._child:
            try:
                yield
            finally:
                self._child.note(epochs=self._epochs)

    def begun(self, report: Started) -> None:
        """The child has loaded its data and drawn its weights."""
        self._device = bounded(report["device"].partition(":")[0], DEVICES)
        self._engine = bounded(report.get("engine"), ENGINES)
        self.telemetry.start.observe(time.perf_counter() - self._sent_at)
        self._child.note(device=self._device, engine=self._engine)

    def stored(self, report: Epochs, seconds: float) -> None:
        """A report was committed, which took `seconds`."""
        telemetry, labels = self.telemetry, (self._device, self._engine)
        telemetry.commit.observe(seconds)
        count = len(report["epochs"])
        self._epochs += count
        telemetry.epochs.labels(*labels).inc(count)
        telemetry.trial_epochs.labels(*labels).inc(count * len(self._claim.trials))
        durations = telemetry.epoch.labels(*labels)
        for epoch in report["epochs"]:
            durations.observe(epoch["seconds"])
        self.used(report.get("energy"))
        if (file := report.get("checkpoint")) is not None:
            self.saved(file)

    def saved(self, file: CheckpointReport) -> None:
        """A checkpoint is stored."""
        self.telemetry.checkpoint_bytes.observe(file["bytes"])
        if (taken := file.get("seconds")) is not None:
            self.telemetry.checkpoint_seconds.observe(taken)

    def used(self, energy: Energy | None) -> None:
        """A stretch of the training took so much energy, and that is stored."""
        if energy is not None:
            method = bounded(energy["method"], METHODS)
            self.telemetry.energy.labels(self._device, method).inc(energy["joules"])

    def refused(self, write: Literal["start", "epochs", "ending"]) -> None:
        """The database took a write no more: the cohort is another attempt's."""
        self.telemetry.fenced.labels(write).inc()

    def ended(self, verdict: str, failure: Failure | None) -> None:
        """The attempt is over; `verdict` is what became of the cohort."""
        outcome = "failed" if failure is not None and verdict != "fenced" else OUTCOMES.get(verdict, verdict)
        self.telemetry.attempts.labels(outcome).inc()
        self.telemetry.attempt.observe(boottime() - self._claimed_at)
        self._span.note(outcome=outcome, epochs=self._epochs)
        if failure is not None:
            code = bounded(failure.code, CODES)
            self.telemetry.failures.labels(code).inc()
            self._span.fail(code)
