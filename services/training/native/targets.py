"""The processors that builds of the kernel are made for, and what this one can run.

Every build computes the same bits; a wider one is quicker. Levels of x86-64: System V ABI, AMD64 supplement, 3.1.1.
"""

import platform
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_V3 = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"})
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


@dataclass(frozen=True)
class Processor:
    """A sort of processor and the instruction sets it has, as Linux names them; none are known on some systems."""

    machine: str
    features: frozenset[str]


@dataclass(frozen=True)
class Target:
    """A build of the kernel: what runs it, and the compiler's flags for it."""

    name: str
    machine: str
    features: frozenset[str]
    flags: tuple[str, ...]

    @property
    def file(self) -> str:
        """The library's name."""
        return f"kernel-{self.name}.so"

    def runs_on(self, processor: Processor) -> bool:
        """Whether a processor has all that this build uses."""
        return self.machine == processor.machine and self.features <= processor.features


TARGETS = (
    Target("x86-64-v4", "x86_64", _V4, ("-march=x86-64-v4",)),
    Target("x86-64-v3", "x86_64", _V3, ("-march=x86-64-v3",)),
    Target("aarch64", "aarch64", frozenset(), ("-march=armv8-a",)),
)
"""The quickest first."""


def processor() -> Processor:
    """This machine's processor."""
    name = platform.machine().lower()
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
    features: set[str] = set()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("flags", "Features"):
                features.update(value.split())
                break
    if sys.platform == "darwin" and machine == "x86_64":
        features |= _of_a_mac()
    return Processor(machine, frozenset(features))


def runnable() -> tuple[Target, ...]:
    """The builds that run on this processor, the quickest first."""
    here = processor()
    return tuple(target for target in TARGETS if target.runs_on(here))


def _of_a_mac() -> set[str]:
    names = {"avx1.0": "avx", "lzcnt": "abm"}
    with suppress(OSError, subprocess.SubprocessError):
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features",
                   "machdep.cpu.extfeatures"]  # fmt: skip
        words = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.lower().split()
        return {names.get(word, word) for word in words}
    return set()
