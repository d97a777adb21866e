"""The process that trains one cohort: ``python -m services.training.child``.

It speaks JSON lines with its supervisor over stdin and stdout (see docs/child-protocol.md), logs to stderr, holds no
credentials, and dies with its supervisor. One process trains one cohort and exits.
"""

import logging
import os
import sys
import time
import traceback
from pathlib import Path

import torch

from services.child_protocol import Failed, FailureCode, Last, Start
from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable
from services.training import checkpoint, device
from services.training.channel import Channel
from services.training.cohort import build
from services.training.energy import WATTS_PER_CORE, Stretches, start_meter
from services.training.initial import InitializationError
from services.training.loop import TrainingRun
from services.training.parent import die_with_parent
from services.training.reporter import Beat, Reporter

log = logging.getLogger(__name__)


def main() -> None:
    """Serve one start message from the first line to the last."""
    die_with_parent()
    # Whatever prints to stdout by habit must not break the protocol: it goes to stderr.
    sink = os.dup(1)
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    channel = Channel(sys.stdin.buffer, sink, at_end=lambda: os._exit(1))
    channel.send({"type": "ready", "torch": torch.__version__, "devices": device.available()})
    message = channel.wait_start()
    beat = Beat(channel)
    beat.start()
    last: Last
    try:
        last = _train(message, channel, beat)
    except Exception as error:  # noqa: BLE001 - the supervisor must hear of every failure, whatever it is
        traceback.print_exc()
        last = _failure(error)
    beat.end()
    channel.send(last)
    sys.stderr.flush()
    # The reading thread holds stdin: an orderly shutdown of the interpreter would wait for it for ever.
    os._exit(0)


def _train(message: Start, channel: Channel, beat: Beat) -> Last:
    began = time.perf_counter()
    where = device.configure(message["device"], message["threads"])
    meter = start_meter(where, message.get("watts_per_core", WATTS_PER_CORE))
    energy = Stretches(meter)
    beat.alongside = meter.read
    cohort = build(message, where)
    reporter = Reporter(
        channel,
        beat,
        report_after=message["report_after"],
        checkpoint_dir=Path(message["checkpoint_dir"]),
        checkpoint_seconds=message["checkpoint_seconds"],
        origin=cohort.origin,
        energy=energy.take,
    )
    run = TrainingRun(cohort.engine, cohort.description, cohort.rows, reporter, cohort.measuring)
    resume = message.get("resume")
    if resume is not None:
        path, slots = Path(resume["path"]), resume.get("slots")
        state = checkpoint.read(path, resume["sha256"], resume["epoch"], cohort.origin, slots)
        try:
            run.resume(resume["epoch"], state)
        except ValueError as error:
            raise checkpoint.CheckpointMismatch(str(error)) from error
        inside = 0 if run.begun is None else int(run.begun.sums.batches.min())
        log.info("goes on after epoch %d, with %d batches of the next one done", run.epoch, inside)
    channel.send(
        {
            "type": "started",
            "device": where,
            "dataset_digest": cohort.origin.dataset_digest,
            "engine": cohort.engine.name,
        }
    )
    if run.run() == "stopped":
        if channel.stop_mode != "cancel":
            reporter.flush(run.state)
        assert channel.stop_mode is not None
        return {"type": "stopped", "mode": channel.stop_mode, "energy": energy.take()}
    reporter.flush(None)
    return {"type": "done", "energy": energy.take(), "duration_seconds": time.perf_counter() - began}


def _failure(error: Exception) -> Failed:
    """The message that names a failure by its class."""
    code: FailureCode = "error"
    match error:
        case MemoryError() | torch.OutOfMemoryError():
            code = "oom"
        case DatasetUnavailable():
            code = "dataset_unavailable"
        case DatasetInvalid():
            code = "dataset_invalid"
        case checkpoint.CheckpointMismatch():
            code = "checkpoint_mismatch"
        case _:
            pass
    slot = error.slot if isinstance(error, InitializationError) else None
    return {"type": "failed", "code": code, "detail": f"{type(error).__name__}: {error}"[:2000], "slot": slot}


if __name__ == "__main__":
    main()
