"""Turns what the training loop tells into messages, at most one of them unacknowledged."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from services import child_protocol, faults
from services.child_protocol import CheckpointReport, DiagnosticReport, Energy
from services.training import checkpoint
from services.training.channel import Channel
from services.training.observer import EpochReport, StateOf

log = logging.getLogger(__name__)

SEND_SECONDS = 0.2
"""Least time between two epoch messages, the first two excepted."""
BEAT_SECONDS = 0.5
SILENT_AFTER_SECONDS = 30.0
"""No beat is sent when the loop has not moved for so long: a hung child must look hung."""
SILENT_AFTER_GAPS = 10.0
"""A loop whose batches take long may stand still for so many of its longest steps."""
BUILD_SECONDS = 900.0
"""How long loading the data, drawing the weights and compiling may take before the first batch."""
LAST_ACK_SECONDS = 60.0
CHECKPOINT_REST = 20.0
"""Between two checkpoints lies at least so many times what the last one took: they cost a twentieth at most."""


Place = tuple[int, float]
"""An epoch and the share of it that is done."""


class Reporter:
    """The observer of a child process; see `services.training.observer.Observer`."""

    def __init__(
        self,
        channel: Channel,
        beat: "Beat",
        *,
        report_after: int,
        checkpoint_dir: Path,
        checkpoint_seconds: float,
        origin: checkpoint.Origin,
        energy: Callable[[], Energy] | None = None,
    ) -> None:
        self._channel = channel
        self._beat = beat
        self._report_after = report_after
        self._folder = checkpoint_dir
        self._checkpoint_seconds = checkpoint_seconds
        self._origin = origin
        self._energy = energy
        self._pending: list[EpochReport] = []
        self._held = False
        self._sent = report_after
        self._awaited: str | None = None
        self._at: Place | None = None
        self._saved: Place | None = None
        self._entered = 0.0
        self._channel.acknowledged = max(self._channel.acknowledged, report_after)
        self._sent_at = self._saved_at = time.monotonic()
        self._rest = checkpoint_seconds

    def epoch(self, report: EpochReport, state: StateOf) -> None:
        """Keep the report, and send all that are kept when the last message is acknowledged and it is time.

        Reports whose layers are still being measured wait for that, unless it is time for a checkpoint: it covers all.
        """
        self._move(report.epoch + 1, 0.0)
        if report.epoch <= self._report_after:
            return
        self._pending.append(report)
        self._held = False
        if self._due():
            save = time.monotonic() - self._saved_at >= self._rest
            ready = len(self._pending) if save else self._settled()
            if ready:
                self._send(state if save else None, ready)
            self._held = len(self._pending) > 0

    def progress(self, epoch: int, fraction: float) -> None:
        """See `Observer.progress`; also sends what waited for its measurement."""
        self._beat.move(epoch, fraction)
        self._move(epoch, fraction)
        self._saved = self._saved or self._at  # what the cohort begins or goes on with
        if self._held and self._due() and (ready := self._settled()):
            self._send(None, ready)
            self._held = len(self._pending) > 0

    def stop_now(self) -> bool:
        """See `Observer.stop_now`."""
        return self._channel.stop_mode == "cancel"

    def stop_soon(self) -> bool:
        """See `Observer.stop_soon`."""
        return self._channel.stop_mode is not None

    def save_soon(self) -> bool:
        """See `Observer.save_soon`: in an epoch that lasts longer than the time between two checkpoints.

        Whatever is to be sent with it must be there, so that the training does not stand still.
        """
        if time.monotonic() - max(self._saved_at, self._entered) < self._rest or not self._unsaved:
            return False
        return self._free and self._settled() == len(self._pending)

    def set_down(self, epoch: int, state: StateOf) -> None:
        """See `Observer.set_down`: writes a checkpoint, and sends it with the reports that are kept."""
        if self._pending:
            self._send(state, len(self._pending))
            self._held = False
        else:
            self._send_file(epoch, state)

    def flush(self, state: StateOf | None) -> None:
        """Send what is left and wait for its acknowledgement; with `state`, a checkpoint of it goes along."""
        alone = state is not None and self._unsaved and self._at is not None and self._at[0] > 0
        if not self._pending and not alone:
            return
        self._channel.wait_acknowledged(self._sent, saved=self._awaited)
        if self._pending:
            self._send(state, len(self._pending))
        elif state is not None and self._at is not None:
            self._send_file(self._at[0] - 1, state)
        self._channel.wait_acknowledged(self._sent, LAST_ACK_SECONDS, saved=self._awaited)

    def _move(self, epoch: int, fraction: float) -> None:
        """Take note of where the training is: in this epoch, of which so much is done."""
        if self._at is None or self._at[0] != epoch:
            self._entered = time.monotonic()
        self._at = (epoch, fraction)

    @property
    def _unsaved(self) -> bool:
        """Whether the training has moved since the last checkpoint, or since it was begun or gone on with."""
        return self._at is not None and (self._saved is None or self._at > self._saved)

    @property
    def _free(self) -> bool:
        """Whether a message may be sent: all that were sent are acknowledged."""
        return self._channel.acknowledged >= self._sent and self._awaited in (None, self._channel.saved)

    def _due(self) -> bool:
        """Whether a message may be sent and it is time for one."""
        timely = self._pending[0].epoch <= 1 or time.monotonic() - self._sent_at >= SEND_SECONDS
        return timely and self._free

    def _settled(self) -> int:
        """How many reports, counted from the first, are complete."""
        return next((place for place, report in enumerate(self._pending) if not report.settled), len(self._pending))

    def _save(self, epoch: int, state: StateOf) -> CheckpointReport | None:
        """Write a checkpoint; None when there is no room for it: a loss of it then costs time and no number."""
        began = time.monotonic()
        try:
            file = checkpoint.write(self._folder, epoch, state(), self._origin)
        except OSError as error:
            log.warning("training goes on without a checkpoint of epoch %d: %s", epoch, error.strerror or error)
            file = None
        else:
            self._saved = self._at
        self._saved_at = time.monotonic()
        seconds = self._saved_at - began
        self._rest = max(self._checkpoint_seconds, CHECKPOINT_REST * seconds)
        if file is None:
            return None
        return {"epoch": epoch, "path": str(file.path), "sha256": file.sha256, "bytes": file.size, "seconds": seconds}

    def _send_file(self, epoch: int, state: StateOf) -> None:
        """Send a checkpoint by itself: `epoch` is the last finished one, and everything up to it was sent."""
        faults.point("child.before_checkpoint", epoch=epoch)
        saved = self._save(epoch, state)
        faults.point("child.after_checkpoint", epoch=epoch)
        if saved is not None:
            self._awaited = saved["path"]
            energy = None if self._energy is None else self._energy()
            self._channel.send({"type": "checkpoint", "file": saved, "energy": energy})

    def _send(self, state: StateOf | None, count: int) -> None:
        reports = self._pending[:count]
        rows = [row for report in reports for row in _diagnostics(report)]
        last = reports[-1].epoch
        saved = None
        if state is not None:
            faults.point("child.before_checkpoint", epoch=last)
            saved = self._save(last, state)
            faults.point("child.after_checkpoint", epoch=last)
        del self._pending[:count]
        faults.point("child.before_send", epoch=last)
        self._channel.send(
            {
                "type": "epochs",
                "from": reports[0].epoch,
                "to": last,
                "epochs": [_epoch(report) for report in reports],
                "diagnostics": rows,
                "checkpoint": saved,
                "energy": None if self._energy is None else self._energy(),
            }
        )
        faults.point("child.after_send", epoch=last)
        self._sent = last
        self._sent_at = time.monotonic()


class Beat:
    """A thread that says every half second where the training is, for as long as it moves."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._position = (0, 0.0)
        self._moved_at = time.monotonic()
        self._longest: float | None = None
        self._ended = threading.Event()
        self.alongside: Callable[[], object] | None = None
        """Called before every beat; for what has to be looked at every now and then."""
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def move(self, epoch: int, fraction: float) -> None:
        """Take note of progress; called at every batch."""
        now = time.monotonic()
        self._longest = 0.0 if self._longest is None else max(self._longest, now - self._moved_at)
        self._position = (epoch, fraction)
        self._moved_at = now

    def end(self) -> None:
        """Beat no more; returns when no beat can follow."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            if self.alongside is not None:
                self.alongside()
            if time.monotonic() - self._moved_at < self._patience():
                epoch, fraction = self._position
                self._channel.send({"type": "beat", "epoch": epoch, "fraction": round(fraction, 4)})

    def _patience(self) -> float:
        if self._longest is None:
            return BUILD_SECONDS
        return max(SILENT_AFTER_SECONDS, SILENT_AFTER_GAPS * self._longest)


def _epoch(report: EpochReport) -> child_protocol.EpochReport:
    extra = {name: values.tolist() for name, values in report.extra.items()}
    return {
        "epoch": report.epoch,
        "seconds": report.seconds,
        "metrics": {name: values.tolist() for name, values in report.metrics.items()},
        "extra": extra or None,
        "diverged": [{"slot": item.slot, "layer": item.layer} for item in report.diverged],
    }


def _diagnostics(report: EpochReport) -> list[DiagnosticReport]:
    return [
        {
            "slot": row.slot,
            "epoch": report.epoch,
            "layer": row.layer,
            "layer_index": row.layer_index,
            "values": row.values,
        }
        for row in report.diagnostics
    ]
