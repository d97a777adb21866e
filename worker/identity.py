"""Which process this worker is, and whether another one on this machine still lives."""

import os
import socket
from pathlib import Path

import psutil

from services.cohorts.workers import Identity

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
START_TOLERANCE_SECONDS = 0.05


def this_process() -> Identity:
    """The identity of this process; it stays unique when the pid is used again or the machine restarts."""
    # On systems without a boot id the time of the start of the machine stands for it.
    boot_id = BOOT_ID.read_text("ascii").strip() if BOOT_ID.exists() else f"{psutil.boot_time():.0f}"
    pid = os.getpid()
    return Identity(socket.gethostname(), boot_id, pid, psutil.Process(pid).create_time())


def lives(other: Identity) -> bool:
    """Whether that process of this machine is still there (a zombie waiting to be reaped is not)."""
    try:
        process = psutil.Process(other.pid)
        same = abs(process.create_time() - other.pid_start_time) < START_TOLERANCE_SECONDS
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
