"""How much energy a cohort took: measured where the machine says, estimated where it does not.

Every figure carries its method, and figures of different methods are not to be compared.
"""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch

from services import child_protocol

Method = Literal["rapl_measured", "nvml_measured", "cpu_time_estimate"]

RAPL_FOLDER = Path("/sys/class/powercap")
WATTS_PER_CORE = 7.0
"""Assumed draw of one busy core, its share of caches and memory included: the TDP of server processors of 2019 to 2024
over their cores (AMD EPYC 7742 225 W / 64, EPYC 9654 360 W / 96, Intel Xeon 8380 270 W / 40) is 3.5 to 7 W."""


@dataclass(frozen=True)
class Energy:
    """Joules of one attempt, and how they were found."""

    joules: float
    method: Method


class Meter(Protocol):
    """Counts from its making on."""

    def read(self) -> Energy:
        """The energy since the meter was made."""
        ...


class Stretches:
    """Cuts what a meter counts into stretches, so that each message carries its own part and none is counted twice."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._told = 0.0

    def take(self) -> child_protocol.Energy:
        """The energy since the last call, or since the meter was made."""
        total = self.meter.read()
        joules, self._told = max(0.0, total.joules - self._told), total.joules
        return {"joules": joules, "method": total.method}


class CpuTimeMeter:
    """This process's processor seconds times the watts of a core."""

    def __init__(self, watts: float) -> None:
        self._watts = watts
        self._start = time.process_time()

    def read(self) -> Energy:
        """See `Meter.read`."""
        return Energy((time.process_time() - self._start) * self._watts, "cpu_time_estimate")


class RaplMeter:
    """The processor packages' own counters, each stretch weighted by this process's share of all processor time in it.

    The counters turn over after some minutes at full load, so `read` is to be called every few seconds.
    """

    def __init__(self, zones: list[Path], busy_seconds: Callable[[], float]) -> None:
        self._zones = zones
        self._turns = [_number(zone / "max_energy_range_uj") for zone in zones]
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        self._joules = 0.0
        self._last = self._look()

    def read(self) -> Energy:
        """See `Meter.read`."""
        with self._lock:
            counters, busy, own = self._look()
            before, busy_before, own_before = self._last
            used = sum((b - a) % turn for a, b, turn in zip(before, counters, self._turns, strict=True)) / 1e6
            if busy > busy_before:
                self._joules += used * min(1.0, (own - own_before) / (busy - busy_before))
                self._last = (counters, busy, own)
            return Energy(self._joules, "rapl_measured")

    def _look(self) -> tuple[list[int], float, float]:
        return [_number(zone / "energy_uj") for zone in self._zones], self._busy_seconds(), time.process_time()


class NvmlMeter:
    """The energy counter of one NVIDIA device (Volta and later): all that runs there, and nothing of the host."""

    def __init__(self, library: ctypes.CDLL, uuid: str) -> None:
        self._library = library
        self._device = ctypes.c_void_p()
        _check(library.nvmlInit_v2())
        _check(library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(self._device)))
        self._start = self._millijoules()

    def read(self) -> Energy:
        """See `Meter.read`."""
        return Energy((self._millijoules() - self._start) / 1e3, "nvml_measured")

    def _millijoules(self) -> int:
        value = ctypes.c_ulonglong()
        _check(self._library.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(value)))
        return value.value


def start_meter(device: str, watts_per_core: float = WATTS_PER_CORE) -> Meter:
    """The best meter there is for a run on `device` (``cpu`` or ``cuda``).

    Where nothing can be read it is estimated from processor time and `watts_per_core`.
    """
    if device == "cuda":
        try:
            uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}"
            return NvmlMeter(ctypes.CDLL("libnvidia-ml.so.1"), uuid)
        except (OSError, AttributeError, RuntimeError, AssertionError):
            return CpuTimeMeter(watts_per_core)
    zones = readable_zones(RAPL_FOLDER)
    return RaplMeter(zones, _busy_seconds) if zones else CpuTimeMeter(watts_per_core)


def readable_zones(folder: Path) -> list[Path]:
    """The top-level package zones (``intel-rapl:0``, ...) whose counters this process may read."""
    zones = [zone for zone in sorted(folder.glob("intel-rapl:[0-9]*")) if zone.name.count(":") == 1]
    return [zone for zone in zones if os.access(zone / "energy_uj", os.R_OK)]


def _busy_seconds() -> float:
    """Processor seconds of the whole machine that were not idle: the first line of /proc/stat."""
    ticks = [int(value) for value in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")


def _number(path: Path) -> int:
    return int(path.read_text("ascii"))


def _check(code: int) -> None:
    if code != 0:
        raise RuntimeError(f"NVML answered with error {code}")
