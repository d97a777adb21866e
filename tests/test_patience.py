"""The clock that waits are bounded by runs slower where others want the processor too."""

import threading
from pathlib import Path

import pytest

from tests.support import patience
from tests.support.patience import Patience, crowding


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty processes for each of the machine's cores."""
    loads = tmp_path / "loadavg"
    loads.write_text("1.00 1.00 1.00 80/523 4711\n")
    monkeypatch.setattr(patience, "LOADS", loads)
    monkeypatch.setattr(patience, "usable_cores", lambda: 2)


@pytest.mark.parametrize(("seconds", "lasts"), [(39.0, True), (41.0, False)])
def test_a_second_lasts_longer_on_a_busy_machine(
    crowded: None, monkeypatch: pytest.MonkeyPatch, seconds: float, lasts: bool
) -> None:
    now = [0.0]
    monkeypatch.setattr(patience.time, "monotonic", lambda: now[0])
    left = Patience(1.0)
    assert crowding() == 40.0
    now[0] += seconds
    assert left.lasts() is lasts


def test_without_a_crowd_it_is_the_clock_on_the_wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LOADS", tmp_path / "not-there")
    monkeypatch.setattr(patience.os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    assert crowding() == 1.0


def test_a_test_that_hangs_is_ended_by_this_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    hooks = request.config.hook
    settings = type("Settings", (), {"method": "signal", "timeout": 0.0, "disable_debugger_detection": True})
    monkeypatch.setattr(patience, "TICK_SECONDS", 0.01)
    hooks.pytest_timeout_cancel_timer(item=request.node)
    hooks.pytest_timeout_set_timer(item=request.node, settings=settings)
    with pytest.raises(pytest.fail.Exception, match="Timeout"):
        threading.Event().wait()
