"""Fault points fire where, when and as often as they are told to, and never outside tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services import faults


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    faults.planned.cache_clear()
    yield
    faults.planned.cache_clear()


def set_fault(monkeypatch: pytest.MonkeyPatch, text: str, testing: str = "1") -> None:
    monkeypatch.setenv("FIRSTLIGHT_FAULT", text)
    monkeypatch.setenv("FIRSTLIGHT_TESTING", testing)


def test_a_fault_fires_at_its_point_under_its_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    set_fault(monkeypatch, "elsewhere:kill;here:epoch=3:seed=1:raise")
    faults.point("here", epoch=2, seed=1)
    faults.point("here", epoch=3, seed=2)
    faults.point("there", epoch=3, seed=1)
    with pytest.raises(faults.InjectedFaultError, match="here"):
        faults.point("here", epoch=3, seed=1)


def test_a_fault_may_fire_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_fault(monkeypatch, f"here:once={tmp_path / 'fired'}:oom")
    with pytest.raises(MemoryError):
        faults.point("here")
    faults.point("here")


def test_without_testing_nothing_fires(monkeypatch: pytest.MonkeyPatch) -> None:
    set_fault(monkeypatch, "here:raise", testing="0")
    faults.point("here")


def test_an_unknown_action_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    set_fault(monkeypatch, "here:explode")
    with pytest.raises(ValueError, match="'explode'"):
        faults.point("here")
