"""The reporter's messages: in order, whole, and none before its layers are measured."""

import resource
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.training import reporter as module
from services.training.checkpoint import Origin
from services.training.observer import EpochReport, LayerReport
from services.training.reporter import Beat, Reporter

LAYERS = (LayerReport(0, "dense_0", 0, {"dead_fraction": 0.5}),)


class Wire:
    """A channel whose supervisor acknowledges at once."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.acknowledged = -1
        self.stop_mode = None

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self.acknowledged = message["to"]

    def wait_acknowledged(self, epoch: int, timeout: float | None = None) -> bool:
        assert timeout is None or timeout > 0
        return self.acknowledged >= epoch


def made(wire: Wire, folder: Path, checkpoint_seconds: float = 1e9) -> Reporter:
    return Reporter(
        wire,  # pyright: ignore[reportArgumentType]
        Beat(wire),  # pyright: ignore[reportArgumentType]
        report_after=-1,
        checkpoint_dir=folder,
        checkpoint_seconds=checkpoint_seconds,
        origin=Origin("0" * 64, (("1" * 16, 0),), "2" * 64, "native"),
    )


def report(epoch: int, layers: Future[tuple[LayerReport, ...]] | None = None) -> EpochReport:
    return EpochReport(epoch, 0.1, {"val_loss": np.array([1.0])}, layers=layers)


def state() -> dict[str, np.ndarray]:
    return {"steps": np.array([3])}


def spans(wire: Wire) -> list[tuple[int, int, int]]:
    return [(message["from"], message["to"], len(message["diagnostics"])) for message in wire.sent]


def test_a_report_waits_for_its_layers_and_goes_as_soon_as_they_are_there(tmp_path: Path) -> None:
    wire, layers = Wire(), Future()
    reporter = made(wire, tmp_path)
    reporter.epoch(report(0, layers), state)
    reporter.progress(1, 0.1)
    assert wire.sent == []
    layers.set_result(LAYERS)
    reporter.progress(1, 0.2)
    assert spans(wire) == [(0, 0, 1)]
    reporter.progress(1, 0.3)
    reporter.epoch(report(1), state)
    assert spans(wire) == [(0, 0, 1), (1, 1, 0)]


def test_later_reports_do_not_overtake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS", 0.0)
    wire, layers = Wire(), Future()
    reporter = made(wire, tmp_path)
    reporter.epoch(report(0), state)
    reporter.epoch(report(1, layers), state)
    reporter.epoch(report(2), state)
    assert spans(wire) == [(0, 0, 0)]
    layers.set_result(LAYERS)
    reporter.progress(3, 0.5)
    assert spans(wire) == [(0, 0, 0), (1, 2, 1)]


def test_a_checkpoint_covers_every_report_so_it_waits_for_the_layers(tmp_path: Path) -> None:
    wire, layers = Wire(), Future()
    reporter = made(wire, tmp_path, checkpoint_seconds=0.0)
    timer = threading.Timer(0.05, layers.set_result, [LAYERS])
    timer.start()
    reporter.epoch(report(0, layers), state)
    assert spans(wire) == [(0, 0, 1)]
    assert wire.sent[0]["checkpoint"]["epoch"] == 0
    assert 0.0 <= wire.sent[0]["checkpoint"]["seconds"] < 3_600.0
    timer.join()


def test_a_flush_waits_for_everything(tmp_path: Path) -> None:
    wire, layers = Wire(), Future()
    reporter = made(wire, tmp_path)
    reporter.epoch(report(0, layers), state)
    reporter.epoch(report(1), state)
    timer = threading.Timer(0.05, layers.set_result, [LAYERS])
    timer.start()
    reporter.flush(state)
    assert spans(wire) == [(0, 1, 1)]
    assert wire.sent[0]["checkpoint"]["epoch"] == 1
    timer.join()


def test_layers_that_cannot_be_measured_fail_the_training(tmp_path: Path) -> None:
    wire, layers = Wire(), Future()
    reporter = made(wire, tmp_path)
    reporter.epoch(report(0, layers), state)
    layers.set_exception(ArithmeticError("no layers today"))
    with pytest.raises(ArithmeticError, match="no layers today"):
        reporter.progress(1, 0.5)
    assert wire.sent == []


class Clock:
    """Stands in for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_checkpoints_cost_a_twentieth_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wire = Clock(), Wire()
    monkeypatch.setattr(module, "time", clock)
    reporter = made(wire, tmp_path, checkpoint_seconds=2.0)

    def slow() -> dict[str, np.ndarray]:
        clock.now += 3.0
        return state()

    for epoch in range(200):
        clock.now += 1.0
        reporter.epoch(report(epoch), slow)
    saved = [message["checkpoint"]["epoch"] for message in wire.sent if message["checkpoint"]]
    assert saved == [1, 61, 121, 181]


def test_a_full_disk_costs_the_checkpoint_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wire, before = Wire(), resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(module, "SEND_SECONDS", 0.0)
    monkeypatch.setattr(module, "CHECKPOINT_REST", 0.0)
    reporter = made(wire, tmp_path, checkpoint_seconds=0.0)
    reporter.epoch(report(0), state)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        reporter.epoch(report(1), lambda: {"weights": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert wire.sent[-1]["to"] == 1
    assert wire.sent[-1]["checkpoint"] is None
    assert "without a checkpoint of epoch 1" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0.npz"]
    reporter.epoch(report(2), state)
    assert [message["checkpoint"] and message["checkpoint"]["epoch"] for message in wire.sent] == [0, None, 2]
