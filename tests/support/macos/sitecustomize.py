"""Takes away what Linux has and macOS has not; with this folder in PYTHONPATH, from every Python of a process tree."""

import ctypes
import errno
import os
import time
from pathlib import Path
from typing import Any

del os.sched_getaffinity
del time.CLOCK_BOOTTIME


def _without(name: str) -> Any:
    original = getattr(Path, name)

    def method(self: Path, *arguments: Any, **options: Any) -> Any:
        if str(self).startswith(("/proc/", "/sys/")):
            if name == "exists":
                return False
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return original(self, *arguments, **options)

    return method


class _Library(ctypes.CDLL):
    def __getattr__(self, name: str) -> Any:
        if name in {"prctl", "mallopt"}:
            raise AttributeError(name)
        return super().__getattr__(name)


for _name in ("exists", "open", "read_text", "read_bytes", "write_text"):
    setattr(Path, _name, _without(_name))
ctypes.CDLL = _Library
