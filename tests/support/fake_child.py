"""A child that speaks the protocol without torch. Its "training" is a chaotic map: a wrong resume is seen at once.

The spec tells it what to do:
    epoch_seconds      how long an epoch takes
    crash_seeds        trials that raise a named failure at the start; crash_code is its code
    kill_seeds         trials that end the process by SIGKILL at kill_epoch (1)
    diverge            {"seed": epoch}
    hold_mb            {"seed": megabytes of memory that its trial holds from the start}
    gate               {"epoch": e, "mark": a file}: waits before epoch e for the file, or for a stop
    once               [{"action": "kill" | "hang" | "exit" | "stop", "epoch": e, "mark": a file made when it fired}];
                       one alone may stand without the list
"""

import hashlib
import json
import os
import queue
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from services import faults
from services.training.parent import die_with_parent

if TYPE_CHECKING:  # their making would take longer than most of its lives
    from services.child_protocol import (
        CheckpointReport,
        EpochReport,
        FromChild,
        PlannedTrial,
        Resume,
        Start,
        StopMode,
        ToChild,
    )
PACE = float(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[0] == __file__ else 0.0
"""Seconds of an epoch where the spec does not say."""


class Talk:
    """stdin and stdout."""

    def __init__(self) -> None:
        self.stop: StopMode | None = None
        self.acknowledged = -1
        self.start: queue.Queue[Start] = queue.Queue()
        self.news = threading.Condition()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        for line in sys.stdin:
            message: ToChild = json.loads(line)
            with self.news:
                if message["type"] == "start":
                    self.start.put(message)
                elif message["type"] == "ack":
                    self.acknowledged = message["epoch"]
                else:
                    self.stop = message["mode"] if self.stop != "cancel" else "cancel"
                self.news.notify_all()
        os._exit(1)

    def say(self, message: "FromChild") -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    def wait_ack(self, epoch: int) -> None:
        with self.news:
            self.news.wait_for(lambda: self.acknowledged >= epoch or self.stop == "cancel")


def first_value(seed: int) -> float:
    """The state of a trial before its first epoch."""
    return 0.1 + 0.8 * ((seed * 0.6180339887498949) % 1.0)


def next_value(value: float) -> float:
    """One epoch of the logistic map at a chaotic parameter."""
    return 3.99 * value * (1.0 - value)


def write(folder: Path, epoch: int, values: list[float]) -> "CheckpointReport":
    content = json.dumps({"epoch": epoch, "values": [value.hex() for value in values]}).encode()
    path, began = folder / f"epoch-{epoch}.npz", time.monotonic()
    temporary = folder / f".{epoch}.tmp"
    temporary.write_bytes(content)
    faults.point("child.before_checkpoint_rename", epoch=epoch)
    temporary.replace(path)
    faults.point("child.after_checkpoint", epoch=epoch)
    digest, seconds = hashlib.sha256(content).hexdigest(), time.monotonic() - began
    return {"epoch": epoch, "path": str(path), "sha256": digest, "bytes": len(content), "seconds": seconds}


def read(resume: "Resume") -> list[float]:
    content = Path(resume["path"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == resume["sha256"]
    values = [float.fromhex(value) for value in json.loads(content)["values"]]
    return values if resume["slots"] is None else [values[slot] for slot in resume["slots"]]


def misbehave(spec: dict, epoch: int, trials: "list[PlannedTrial]") -> None:
    if epoch == spec.get("kill_epoch", 1) and any(trial["seed"] in spec.get("kill_seeds", ()) for trial in trials):
        os.kill(os.getpid(), signal.SIGKILL)
    misdeeds = spec.get("once", [])
    for once in misdeeds if isinstance(misdeeds, list) else [misdeeds]:
        if once["epoch"] != epoch or Path(once["mark"]).exists():
            continue
        Path(once["mark"]).touch()
        match once["action"]:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "exit":
                os._exit(0)
            case _:
                time.sleep(600)


class Outbox:
    """Finished epochs on their way to the supervisor: one message at a time, others wait for its ack."""

    def __init__(self, talk: Talk, start: "Start") -> None:
        self.talk, self.folder, self.every = talk, Path(start["checkpoint_dir"]), start["checkpoint_seconds"]
        self.pending: list[EpochReport] = []
        self.sent = talk.acknowledged = start["report_after"]
        self.saved = time.monotonic()

    def send_if_free(self, values: list[float]) -> None:
        """Send what waits; `values` are those after its last epoch."""
        if self.pending and self.talk.acknowledged >= self.sent:
            save = time.monotonic() - self.saved >= self.every
            self.send(values, save=save)
            self.saved = time.monotonic() if save else self.saved

    def send(self, values: list[float], *, save: bool) -> None:
        first, last = (self.pending[place]["epoch"] for place in (0, -1))
        saved = write(self.folder, last, values) if save else None
        faults.point("child.before_send", epoch=last)
        self.talk.say(
            {
                "type": "epochs",
                "from": first,
                "to": last,
                "epochs": self.pending,
                "diagnostics": [],
                "checkpoint": saved,
            }
        )
        faults.point("child.after_send", epoch=last)
        self.pending, self.sent = [], last


def passes_gate(talk: Talk, spec: dict, epoch: int, outbox: Outbox, values: list[float]) -> bool:
    """Whether the epoch may begin; False where a stop came first. Who waits shows signs of life, as in training."""
    gate, beat = spec.get("gate"), time.monotonic()
    while gate and gate["epoch"] == epoch and not talk.stop and not Path(gate["mark"]).exists():
        outbox.send_if_free(values)
        if time.monotonic() - beat >= 0.5:
            beat = time.monotonic()
            talk.say({"type": "beat", "epoch": epoch, "fraction": 0.0})
        with talk.news:
            talk.news.wait(0.01)
    return not talk.stop


def report(spec: dict, trials: "list[PlannedTrial]", epoch: int, values: list[float]) -> "EpochReport":
    gone = [spec.get("diverge", {}).get(str(trial["seed"]), 10**9) for trial in trials]
    losses = [value if epoch < at else None for value, at in zip(values, gone, strict=True)]
    return {
        "epoch": epoch,
        "seconds": spec.get("epoch_seconds", PACE),
        "metrics": {"train_loss": losses if epoch else [None] * len(losses), "val_loss": losses},
        "extra": None,
        "diverged": [{"slot": i, "layer": "loss"} for i, at in enumerate(gone) if at == epoch],
    }


def main() -> None:
    die_with_parent()
    talk = Talk()
    talk.say({"type": "ready", "torch": None, "devices": ["cpu"]})
    start = talk.start.get()
    spec, trials = start["spec"], start["trials"]
    for trial in trials:
        if trial["seed"] in spec.get("crash_seeds", ()):
            # Half of them know who is guilty.
            slot = trial["slot"] if spec.get("names_guilty") else None
            code = spec.get("crash_code", "error")
            talk.say({"type": "failed", "code": code, "detail": "asked to fail", "slot": slot})
            os._exit(0)
    talk.say({"type": "started", "device": "cpu", "dataset_digest": "f" * 64, "engine": "fake"})
    held = [b"x" * (1_000_000 * spec.get("hold_mb", {}).get(str(trial["seed"]), 0)) for trial in trials]
    values = [first_value(trial["seed"]) for trial in trials]
    epoch, resume = 0, start["resume"]
    if resume:
        values, epoch = read(resume), resume["epoch"] + 1
    outbox = Outbox(talk, start)
    while epoch <= spec["epochs"] and passes_gate(talk, spec, epoch, outbox, values):
        misbehave(spec, epoch, trials)
        faults.point("child.before_epoch", epoch=epoch)
        if epoch > 0:
            time.sleep(spec.get("epoch_seconds", PACE))
            values = [next_value(value) for value in values]
        if epoch > start["report_after"]:
            outbox.pending.append(report(spec, trials, epoch, values))
        outbox.send_if_free(values)
        epoch += 1
    held.clear()
    stop = talk.stop
    if stop != "cancel" and outbox.pending:
        talk.wait_ack(outbox.sent)
        outbox.send(values, save=bool(stop))
    if stop != "cancel" and outbox.sent > start["report_after"]:
        talk.wait_ack(outbox.sent)
    if stop:
        assert talk.stop is not None
        talk.say({"type": "stopped", "mode": talk.stop})
    else:
        talk.say({"type": "done", "energy": {"joules": 6.0, "method": "made up"}, "duration_seconds": 1.0})
    os._exit(0)


if __name__ == "__main__":
    main()
