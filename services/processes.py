"""Other programs, run so that nothing of them is left: each with all it starts, ended together.

A compiler's driver starts the compiler proper, and a limit that kills the driver alone leaves the rest running for
nobody. Here every program stands in a process group of its own that is ended as a whole: after its time, on an error,
on an interruption, and also when this process itself is killed.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

GUARD = ("/bin/sh", "-c", "trap '' HUP INT TERM; read -r _; kill -KILL 0")
"""Reads until the writing end is gone, and then kills its own process group, itself included."""
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
LIMITED = ("/bin/sh", "-c", 'ulimit -S -t "$0" && exec "$@"')
"""Gives a program, and each that it starts, so many seconds of processor time."""


class Group:
    """A running program and all that it starts. Use as a context manager, or call `end`.

    On POSIX systems a shell that waits at a pipe leads the group. Nobody but this process holds the other end: when
    this process ends, killed or not, the shell reads that and kills the group. It stays a member until `end`, so that
    the group's number cannot come to mean other processes. Windows has no such groups: there `end` looks for the
    program's descendants. What gives itself a session of its own leaves the group.

    Args:
        command: the program and its arguments.
        options: of `subprocess.Popen`, without those that choose the group or the session.

    Attributes:
        process: the program.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self._lock = threading.Lock()
        self._guard: subprocess.Popen[bytes] | None = None
        if sys.platform != "win32":
            self._guard = subprocess.Popen(
                GUARD,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                process_group=0,
            )
            options["process_group"] = self._guard.pid
        try:
            self.process = subprocess.Popen[bytes](command, **options)
        except BaseException:
            self._dismiss()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def signal(self, number: int) -> None:
        """Send a signal to what is left of the group; the shell that waits hears only SIGKILL. For any thread."""
        if sys.platform == "win32":
            _kill_tree(self.process.pid)
            return
        with self._lock:
            if self._guard is not None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._guard.pid, number)

    def kill(self) -> int:
        """Kill what is left of the group, wait for the program, return its exit status; harmless when repeated.

        Its pipes stay open, for those who still read what it said.
        """
        self._dismiss()
        return self.process.wait()

    def end(self) -> None:
        """`kill`, and close the pipes."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                with suppress(OSError):  # what was not yet written to it cannot be flushed any more
                    pipe.close()

    def _dismiss(self) -> None:
        self.signal(KILL)
        with self._lock:
            if self._guard is not None:
                self._guard.communicate()
                self._guard = None


def run(
    command: Sequence[str], *, seconds: float | None, processor_seconds: int | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said; nothing it started is left, however this ends.

    Args:
        command: the program and its arguments.
        seconds: how long it may take by the clock; None for as long as it lives.
        processor_seconds: see `limited`.
        options: of `subprocess.Popen`, without standard input and outputs.

    Raises:
        subprocess.TimeoutExpired: it took longer than `seconds`.
        OSError: it cannot be started.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Group(limited(command, processor_seconds), **pipes, **options) as group:
        out, err = group.process.communicate(timeout=seconds)
        code = group.process.returncode
    return subprocess.CompletedProcess(command, code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def limited(command: Sequence[str], processor_seconds: int | None) -> Sequence[str]:
    """The command with a limit to the processor time that it, and each program it starts, may use; not on Windows.

    Such a limit is one of work done: it does not run out sooner because the machine is busy. A program that has used
    it up is ended by SIGXCPU.

    Raises:
        FileNotFoundError: there is no such program.
    """
    if processor_seconds is None or sys.platform == "win32":
        return command
    if shutil.which(command[0]) is None:  # or it would be the shell that cannot start it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    return (*LIMITED, str(processor_seconds), *command)


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used; 0 when it has ended."""
    import psutil  # noqa: PLC0415 - not there where a wheel is built

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def resident_bytes(pid: int) -> int:
    """The memory that a process holds, shared pages included; 0 when it has ended or nothing can be read of it."""
    import psutil  # noqa: PLC0415 - not there where a wheel is built

    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def _kill_tree(pid: int) -> None:
    import psutil  # noqa: PLC0415 - not there where a wheel is built

    with suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
