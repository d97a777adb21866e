"""Energy meters on made-up counters."""

import time
from pathlib import Path

import pytest

from services.training import energy
from services.training.energy import CpuTimeMeter, RaplMeter, readable_zones, start_meter


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def make_zone(folder: Path, name: str, microjoules: int) -> Path:
    zone = folder / name
    zone.mkdir(parents=True)
    (zone / "max_energy_range_uj").write_text("1000000000\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    return zone


def test_the_estimate_is_processor_time_times_watts() -> None:
    meter = CpuTimeMeter(10.0)
    before = time.process_time()
    burn(0.05)
    reading = meter.read()
    assert reading.method == "cpu_time_estimate"
    assert 0.5 <= reading.joules <= (time.process_time() - before) * 10.0 + 0.1


def test_only_whole_packages_count(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl-mmio:0"):
        make_zone(tmp_path, name, 5)
    assert [zone.name for zone in readable_zones(tmp_path)] == ["intel-rapl:0", "intel-rapl:1"]
    assert readable_zones(tmp_path / "none") == []


def test_counters_turn_over_and_are_shared_by_processor_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = make_zone(tmp_path, "intel-rapl:0", 999_000_000)
    own, busy = [0.0], [0.0]
    monkeypatch.setattr(energy.time, "process_time", lambda: own[0])
    meter = RaplMeter([zone], lambda: busy[0])
    (zone / "energy_uj").write_text("3000000\n")  # 4 J later, past the turn
    own[0], busy[0] = 1.0, 4.0
    assert meter.read().joules == pytest.approx(1.0)
    (zone / "energy_uj").write_text("5000000\n")
    own[0], busy[0] = 3.0, 6.0
    assert meter.read() == energy.Energy(pytest.approx(3.0), "rapl_measured")  # type: ignore[arg-type]


def test_there_is_always_a_meter() -> None:
    assert start_meter("cpu").read().joules >= 0.0
    assert start_meter("cuda").read().joules >= 0.0


def test_stretches_add_up_to_what_the_meter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [10.0]
    monkeypatch.setattr(energy.time, "process_time", lambda: seconds[0])
    stretches = energy.Stretches(CpuTimeMeter(5.0))
    taken = []
    for seconds[0] in (11.0, 11.0, 14.5):
        taken.append(stretches.take()["joules"])
    assert taken == [5.0, 0.0, 17.5]


def test_the_watts_of_a_core_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "readable_zones", lambda _folder: [])
    seconds = [0.0]
    monkeypatch.setattr(energy.time, "process_time", lambda: seconds[0])
    meter = start_meter("cpu", 12.0)
    seconds[0] = 2.0
    assert meter.read() == energy.Energy(24.0, "cpu_time_estimate")
