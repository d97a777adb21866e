"""Which process this worker is, and whether another one on this machine still lives."""

import os
import socket
from pathlib import Path

import psutil

from services.cohorts.workers import Identity
from services.heartbeat import seen_together

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
START_TOLERANCE_SECONDS = 0.05
STATE, START_TICKS = 0, 19
"""Fields of /proc/PID/stat after the name, see proc_pid_stat(5): state and starttime."""


def identity(pid: int) -> Identity:
    """The identity of a living process; it stays unique when the pid is used again or the machine restarts.

    Raises:
        ProcessLookupError: it has ended.
    """
    # On systems without a boot id the time of the start of the machine stands for it.
    boot_id = seen_together() if BOOT_ID.exists() else f"{psutil.boot_time():.0f}"
    started = _alive_since(pid)
    if started is None:
        raise ProcessLookupError(f"there is no process {pid}")
    return Identity(socket.gethostname(), boot_id, pid, started)


def lives(other: Identity) -> bool:
    """Whether that process of this machine is still there (a zombie waiting to be reaped is not)."""
    started = _alive_since(other.pid)
    return started is not None and abs(started - other.pid_start_time) < START_TOLERANCE_SECONDS


def _alive_since(pid: int) -> float | None:
    """When a process was started, None when it has ended.

    Where the kernel says so, in seconds after the start of the machine: a clock that is set anew in between would make
    a living neighbour look like another process.
    """
    if BOOT_ID.exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[STATE] in "ZX" else int(fields[START_TICKS]) / os.sysconf("SC_CLK_TCK")
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None
