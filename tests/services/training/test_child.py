"""The child process as its supervisor sees it: real processes, real pipes."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from services.science.grid import expand
from services.science.spec import ExperimentSpec
from tests.support.workers import PATIENCE, eventually

DOCUMENT = {
    "dataset": {"name": "digits", "train_size": 200},
    "model": {"kind": "mlp", "hidden": [8]},
    "activation": ["tanh", "relu"],
    "initializer": "glorot_uniform",
    "optimizer": "adam",
    "epochs": 6,
    "seeds": 2,
}


class Child:
    """One child process and its messages."""

    def __init__(self, *, faults: str = "") -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "FIRSTLIGHT_FAULT": faults, "FIRSTLIGHT_TESTING": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.training.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )

    def send(self, message: dict[str, Any] | bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def read(self, *, beats: bool = False, files: bool = False) -> dict[str, Any]:
        """The next message; beats and checkpoints that come by themselves are left out unless asked for."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, f"the child ended: {self.errors()}"
            message = json.loads(line)
            if message["type"] == "checkpoint":
                file = message["file"]
                self.send({"type": "ack", "epoch": file["epoch"], "checkpoint": file["path"]})
            if message["type"] not in {"beat", "checkpoint"} or {"beat": beats, "checkpoint": files}[message["type"]]:
                return message

    def until_end(self, *, acknowledge: bool = True) -> list[dict[str, Any]]:
        """Every message up to done, stopped or failed, acknowledging each epochs message."""
        messages: list[dict[str, Any]] = []
        while not messages or messages[-1]["type"] not in {"done", "stopped", "failed"}:
            messages.append(self.read())
            if messages[-1]["type"] == "epochs" and acknowledge:
                self.send({"type": "ack", "epoch": messages[-1]["to"]})
        assert self.process.wait(PATIENCE) == 0
        return messages

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def spawn() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(**how: Any) -> Child:
        children.append(Child(**how))
        assert children[-1].read()["type"] == "ready"
        return children[-1]

    yield start
    for child in children:
        child.close()


@pytest.fixture
def start_message(tmp_path: Path, data_dir: Path) -> Callable[..., dict[str, Any]]:
    def make(document: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        spec = ExperimentSpec.model_validate({**DOCUMENT, **(document or {})})
        grid = expand(spec)
        return {
            "type": "start",
            "spec": spec.canonical(),
            "trials": [
                {"slot": slot, "arm": grid.arms[trial.arm_index].model_dump(mode="json"), "seed": trial.seed}
                for slot, trial in enumerate(grid.trials)
            ],
            "resume": None,
            "report_after": -1,
            "checkpoint_dir": str(tmp_path / "checkpoints"),
            "checkpoint_seconds": 0.0,
            "data_dir": str(data_dir),
            "device": "cpu",
            "threads": 1,
            "engine": "auto",
            **changes,
        }

    return make


def rows_of(messages: list[dict[str, Any]]) -> dict[int, dict[str, list[float | None]]]:
    return {row["epoch"]: row["metrics"] for m in messages if m["type"] == "epochs" for row in m["epochs"]}


def test_a_whole_cohort(spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]]) -> None:
    child = spawn()
    child.send(start_message())
    messages = child.until_end()
    assert messages[0]["type"] == "started"
    assert messages[0]["device"] == "cpu"
    assert len(messages[0]["dataset_digest"]) == 64
    assert messages[-1]["type"] == "done"
    assert messages[-1]["duration_seconds"] > 0
    assert messages[-1]["energy"]["joules"] > 0
    assert messages[-1]["energy"]["method"] in {"rapl_measured", "cpu_time_estimate"}
    assert {row["epoch"] for message in messages if message["type"] == "epochs" for row in message["diagnostics"]} == {
        0,
        1,
        2,
        4,
        6,
    }
    epochs = [message for message in messages if message["type"] == "epochs"]
    assert (epochs[0]["from"], epochs[0]["to"]) == (0, 0)
    for message in epochs:
        assert [row["epoch"] for row in message["epochs"]] == list(range(message["from"], message["to"] + 1))
    rows = rows_of(messages)
    assert list(rows) == list(range(7))
    assert rows[0]["train_loss"] == [None] * 4
    assert set(rows[3]) == {"train_loss", "val_loss", "train_accuracy", "val_accuracy"}
    assert rows[6]["train_loss"][0] < rows[1]["train_loss"][0]  # type: ignore[operator]
    for saved in (message["checkpoint"] for message in epochs if message["checkpoint"]):
        content = Path(saved["path"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (saved["sha256"], saved["bytes"])


def test_at_most_one_message_is_unacknowledged_and_training_goes_on(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]]
) -> None:
    child = spawn()
    child.send(start_message({"epochs": 30}))
    assert child.read()["type"] == "started"
    first = child.read()["to"]
    message = child.read(beats=True)
    assert message["type"] == "beat"
    while message["epoch"] < 30:
        message = child.read(beats=True)
        assert message["type"] == "beat"
    child.send({"type": "ack", "epoch": first})
    rest = child.until_end()
    assert [message["type"] for message in rest] == ["epochs", "done"]
    assert (rest[0]["from"], rest[0]["to"]) == (first + 1, 30)


def test_resuming_gives_the_same_numbers_and_reports_only_what_is_new_whole_or_in_part(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    first = spawn()
    first.send(start_message(checkpoint_dir=str(tmp_path / "a")))
    messages = first.until_end()
    saved = next(m["checkpoint"] for m in messages if m["type"] == "epochs" and m["checkpoint"])
    second = spawn()
    message = start_message(checkpoint_dir=str(tmp_path / "b"), resume=saved, report_after=saved["epoch"] + 1)
    second.send(message)
    resumed = rows_of(second.until_end())
    whole = rows_of(messages)
    assert list(resumed) == [epoch for epoch in whole if epoch > saved["epoch"] + 1]
    assert all(resumed[epoch] == whole[epoch] for epoch in resumed)
    # A part that was split off, with some of the trials, resumes from the same file.
    third, slots = spawn(), [1, 2]
    members = [{**message["trials"][place], "slot": slot} for slot, place in enumerate(slots)]
    third.send({**message, "trials": members, "resume": {**saved, "slots": slots}})
    part = rows_of(third.until_end())
    for epoch, metrics in part.items():
        assert metrics == {name: [values[slot] for slot in slots] for name, values in whole[epoch].items()}
    assert list(part) == list(resumed)


@pytest.mark.parametrize("mode", ["pause", "drain"])
def test_a_pause_keeps_every_finished_epoch(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]], mode: str
) -> None:
    child = spawn()
    message = start_message({"epochs": 3000})
    child.send(message)
    assert child.read()["type"] == "started"
    # On a slow machine a message carries several epochs: what is acknowledged is its last one.
    child.send({"type": "ack", "epoch": child.read()["to"]})
    second = child.read()
    child.send({"type": "stop", "mode": mode})
    child.send({"type": "ack", "epoch": second["to"]})
    messages = child.until_end()
    assert (messages[-1]["type"], messages[-1]["mode"]) == ("stopped", mode)
    assert messages[-1]["energy"]["joules"] >= 0.0
    saved = [m for m in messages if m["type"] == "epochs"]
    assert all(m["checkpoint"] is not None and m["checkpoint"]["epoch"] == m["to"] for m in saved)


def test_a_cancel_ends_without_a_checkpoint(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]]
) -> None:
    child = spawn()
    child.send(start_message({"epochs": 3000}, checkpoint_seconds=3600.0))
    assert child.read()["type"] == "started"
    child.read()
    child.send({"type": "stop", "mode": "cancel"})
    last = child.until_end()[-1]
    assert (last["type"], last["mode"]) == ("stopped", "cancel")


def test_the_end_of_stdin_ends_the_child(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]]
) -> None:
    child = spawn()
    child.send(start_message({"epochs": 3000}))
    assert child.read()["type"] == "started"
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(PATIENCE) == 1


def test_a_spare_child_ends_with_stdin_too(spawn: Callable[..., Child]) -> None:
    child = spawn()
    assert child.process.stdin is not None
    child.process.stdin.close()
    assert child.process.wait(PATIENCE) == 1


def test_a_killed_supervisor_takes_its_child_along() -> None:
    program = (
        "import subprocess, sys, time\n"
        "read, write = __import__('os').pipe()\n"
        "child = subprocess.Popen([sys.executable, '-m', 'services.training.child'], stdin=read, "
        "stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    child = psutil.Process(int(supervisor.stdout.readline()))
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    supervisor.stdout.close()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child to end")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"data_dir": "/dev/null/data", "spec": {**DOCUMENT, "dataset": "california_housing"}}, "dataset_unavailable"),
        ({"resume": {"epoch": 1, "path": "/nowhere/epoch-1.npz", "sha256": "0" * 64}}, "checkpoint_mismatch"),
        ({"device": "tpu"}, "error"),
        ({"trials": []}, "error"),
    ],
    ids=["data", "checkpoint", "device", "trials"],
)
def test_failures_are_named(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]], changes: dict[str, Any], code: str
) -> None:
    child = spawn()
    child.send(start_message(**changes))
    last = child.until_end()[-1]
    assert (last["type"], last["code"]) == ("failed", code)
    assert last["detail"]


def test_a_damaged_checkpoint_is_refused(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "epoch-1.npz"
    path.write_bytes(b"not a checkpoint")
    child = spawn()
    child.send(start_message(resume={"epoch": 1, "path": str(path), "sha256": "0" * 64}))
    last = child.until_end()[-1]
    assert last["code"] == "checkpoint_mismatch"
    assert "damaged" in last["detail"]


@pytest.mark.parametrize(
    ("fault", "code"), [("child.before_epoch:epoch=3:oom", "oom"), ("child.trial:seed=1:raise", "error")]
)
def test_faults_become_failures(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]], fault: str, code: str
) -> None:
    child = spawn(faults=fault)
    child.send(start_message())
    assert child.until_end()[-1]["code"] == code


def test_a_killed_child_just_ends(spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]]) -> None:
    child = spawn(faults="child.after_checkpoint:kill")
    child.send(start_message())
    assert child.process.wait(PATIENCE) == -signal.SIGKILL


def test_nonsense_on_stdin_is_ignored(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]]
) -> None:
    child = spawn()
    child.send(b"nonsense\n[]\n{}\n")
    child.send({"type": "unheard of"})
    child.send(start_message({"epochs": 1}))
    assert child.until_end()[-1]["type"] == "done"


def test_a_diverged_trial_has_nulls_and_is_named(
    spawn: Callable[..., Child], start_message: Callable[..., dict[str, Any]]
) -> None:
    child = spawn()
    sgd = {"kind": "sgd", "learning_rate": [0.01, 1e4]}
    child.send(start_message({"dataset": {"name": "diamonds", "train_size": 500}, "loss": "mse", "optimizer": sgd}))
    messages = child.until_end()
    diverged = {
        item["slot"]: row["epoch"]
        for m in messages
        if m["type"] == "epochs"
        for row in m["epochs"]
        for item in row["diverged"]
    }
    assert diverged
    rows = rows_of(messages)
    for slot, epoch in diverged.items():
        assert all(rows[later]["val_loss"][slot] is None for later in rows if later > epoch)
    healthy = set(range(8)) - set(diverged)
    assert all(np.isfinite([rows[6]["val_loss"][slot] for slot in healthy]))  # type: ignore[list-item]
