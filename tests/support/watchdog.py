"""Ends what a test run has started when the run ends, however it ends: `python watchdog.py RUN`, its input a pipe.

A process of a run is known by a mark that it cannot lose: a limit of the kernel which is inherited through forks,
sessions, environments and users, set to a number that no other run has. The limit itself, on the time of real-time
scheduling, means nothing to an ordinary process. Standard library alone, and Linux alone: elsewhere nothing is marked.
"""

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

BASE = 10**15
"""Of the runs' numbers, in microseconds: thirty years."""
DEPTH = 256
"""A run within a run has the next number, and ends with the outer one."""
NAME = "firstlight"
GRACE_SECONDS = 1.0
"""For those that end by themselves when their parent does, such as a database that tidies up."""


def own_run() -> int | None:
    """The number of the run that this process belongs to, if to any."""
    if sys.platform != "linux":
        return None
    soft = resource.getrlimit(resource.RLIMIT_RTTIME)[0]
    return soft if soft >= BASE else None


def new_run() -> int:
    """A number for a run that begins in this process."""
    outer = own_run()
    return BASE + int.from_bytes(os.urandom(4), "big") * DEPTH if outer is None else outer + 1


def mark(run: int) -> int:
    """Mark this process, and so all that it will start; returns what to give to this function to undo it."""
    before, most = resource.getrlimit(resource.RLIMIT_RTTIME)
    resource.setrlimit(resource.RLIMIT_RTTIME, (run, most))
    return before


def members(run: int) -> list[int]:
    """The living processes of a run and of runs within it, this one excepted."""
    end = run - run % DEPTH + DEPTH
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            limits = (path / "limits").read_text("ascii")
            state = (path / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
        except OSError:
            continue
        soft = next(line.split()[3] for line in limits.splitlines() if line.startswith("Max realtime timeout"))
        if state not in "ZX" and soft.isdigit() and run <= int(soft) < end and int(path.name) != os.getpid():
            pids.append(int(path.name))
    return pids


def described(pid: int) -> str:
    """A process for a reader."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return str(pid)
    return f"{pid} {b' '.join(words).decode(errors='replace')[:200]}"


def folder(run: int | None, kind: str) -> Path:
    """A new temporary folder that is removed with the run."""
    return Path(tempfile.mkdtemp(prefix=f"{NAME}-{run or os.getpid():x}-{kind}-"))


def clear(run: int) -> None:
    """Kill what is left of a run, and remove its folders."""
    end = time.monotonic() + GRACE_SECONDS
    while (left := members(run)) and time.monotonic() < end:
        time.sleep(0.02)
    while left:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)
        left = members(run)
    for path in Path(tempfile.gettempdir()).glob(f"{NAME}-{run:x}-*"):
        shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    """Wait for the end of the input, which is the end of the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clear(int(sys.argv[1]))


if __name__ == "__main__":
    main()
