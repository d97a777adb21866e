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
from services.training.observer import EpochReport, LayerReport, StateOf
from services.training.reporter import Beat, Reporter
from services.training.set_down import BATCHES

LAYERS = (LayerReport(0, "dense_0", 0, {"dead_fraction": 0.5}),)


class Wire:
    """A channel whose supervisor acknowledges at once."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.acknowledged = -1
        self.saved: str | None = None
        self.answers = True
        self.stop_mode = None

    def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if self.answers:
            self.answer()

    def answer(self) -> None:
        message = self.sent[-1]
        if message["type"] == "checkpoint":
            self.saved = message["file"]["path"]
        else:
            self.acknowledged = message["to"]

    def wait_acknowledged(self, epoch: int, timeout: float | None = None, *, saved: str | None = None) -> bool:
        assert timeout is None or timeout > 0
        return self.acknowledged >= epoch and saved in (None, self.saved)


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


def inside(batches: int) -> StateOf:
    return lambda: {"steps": np.array([3]), BATCHES: np.array([batches, batches + 1])}


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
        reporter.progress(epoch, 0.0)
        clock.now += 0.5
        reporter.progress(epoch, 0.5)
        assert not reporter.save_soon(), "an epoch that is shorter than the rest is never set down"
        clock.now += 0.5
        reporter.epoch(report(epoch), slow)
    saved = [message["checkpoint"]["epoch"] for message in wire.sent if message["checkpoint"]]
    assert saved == [1, 61, 121, 181]


def files(wire: Wire) -> list[str]:
    """The checkpoints by their names, those that came by themselves with a star."""
    names: list[str] = []
    for message in wire.sent:
        file, star = (message["file"], "*") if message["type"] == "checkpoint" else (message["checkpoint"], "")
        names += [star + Path(file["path"]).name] if file else []
    return names


def test_a_long_epoch_is_set_down_every_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wire = Clock(), Wire()
    monkeypatch.setattr(module, "time", clock)
    reporter = made(wire, tmp_path, checkpoint_seconds=10.0)
    clock.now += 11.0
    reporter.epoch(report(0), state)
    assert files(wire) == ["epoch-0.npz"]
    for batch in range(1, 100):
        clock.now += 1.0
        reporter.progress(1, batch / 100)
        if reporter.save_soon():
            reporter.set_down(0, inside(batch))
            assert not reporter.save_soon(), "once is enough"
    assert files(wire)[1:] == [f"*epoch-0-batches-{2 * batch + 1}.npz" for batch in range(10, 100, 10)]
    assert {message["file"]["epoch"] for message in wire.sent[1:]} == {0}
    reporter.epoch(report(1), state)
    assert files(wire)[-1] == "*epoch-0-batches-181.npz"
    clock.now += 9.0
    reporter.progress(2, 0.1)
    assert not reporter.save_soon(), "the epoch has only begun"
    clock.now += 1.0
    reporter.progress(2, 0.2)
    assert reporter.save_soon()


def test_a_long_epoch_is_not_set_down_before_the_last_file_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, wire = Clock(), Wire()
    monkeypatch.setattr(module, "time", clock)
    reporter = made(wire, tmp_path, checkpoint_seconds=10.0)
    reporter.progress(0, 0.0)
    reporter.epoch(report(0), state)
    wire.answers = False
    for batch, expected in ((1, True), (2, False)):
        clock.now += 11.0
        reporter.progress(1, batch / 10)
        assert reporter.save_soon() == expected
        if expected:
            reporter.set_down(0, inside(batch))
    wire.answer()
    assert reporter.save_soon()


def test_nothing_is_saved_where_nothing_has_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a child that dies at every first batch would seem to get on."""
    clock, wire = Clock(), Wire()
    monkeypatch.setattr(module, "time", clock)
    reporter = made(wire, tmp_path, checkpoint_seconds=10.0)
    reporter.progress(4, 0.25)  # where it goes on
    clock.now += 1000.0
    reporter.progress(4, 0.25)
    assert not reporter.save_soon()
    reporter.flush(inside(3))
    assert wire.sent == []
    reporter.progress(4, 0.26)
    assert reporter.save_soon()
    reporter.flush(inside(4))
    assert files(wire) == ["*epoch-3-batches-9.npz"]
    reporter.flush(inside(4))
    assert len(wire.sent) == 1


def test_a_stop_in_an_epoch_sends_what_is_kept_with_the_state_there(tmp_path: Path) -> None:
    wire = Wire()
    reporter = made(wire, tmp_path)
    wire.answers = False
    reporter.epoch(report(0), state)
    reporter.epoch(report(1), state)
    reporter.progress(2, 0.5)
    assert not reporter.save_soon()
    wire.answer()
    wire.answers = True
    reporter.flush(inside(7))
    assert spans(wire) == [(0, 0, 0), (1, 1, 0)]
    assert wire.sent[1]["checkpoint"]["epoch"] == 1
    assert files(wire) == ["epoch-1-batches-15.npz"]


def test_a_finished_epoch_that_was_sent_without_a_file_is_saved_at_a_stop(tmp_path: Path) -> None:
    wire = Wire()
    reporter = made(wire, tmp_path)
    reporter.progress(0, 0.0)
    reporter.epoch(report(0), state)
    assert files(wire) == []
    reporter.flush(state)
    assert files(wire) == ["*epoch-0.npz"]


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
