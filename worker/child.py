"""One child process seen from its supervisor: JSON lines both ways, a tail of what it logged, and its end."""

import contextlib
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import structlog

from services.child_protocol import ToChild
from services.processes import Group, resident_bytes

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-P", "-m", "services.training.child")
TAIL_LINES = 30
LINE_LIMIT = 1000
OOM_SCORE = "500"
"""When memory runs out the kernel shall take the child, not the worker."""


class MalformedError(ValueError):
    """A message of the child names a place that is not its own."""


class Child:
    """A child process.

    It must be made by the thread that will wait for it: the kernel kills it when the *thread* that started it ends.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.ready = False
        self.devices: list[str] | None = None
        self.ids: Mapping[str, str | int] = {}
        """Of what it trains, for the lines that it logs; none while it is a spare."""
        self._oom_kills = oom_kills()
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self._group = Group(command, env=dict(environment), **pipes)
        self.process = self._group.process
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/oom_score_adj").write_text(OOM_SCORE)
        self._threads = [
            threading.Thread(target=self._read_messages, name="child-out", daemon=True),
            threading.Thread(target=self._read_log, name="child-log", daemon=True),
            threading.Thread(target=self._write, name="child-in", daemon=True),
        ]
        try:
            for thread in self._threads:
                thread.start()
        except RuntimeError:  # no more threads can be had
            self._group.end()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def send(self, message: ToChild) -> None:
        """Send one message; never waits, for a child that has stopped reading must not stop its supervisor."""
        self._outbox.put(orjson.dumps(message) + b"\n")

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """The next message, or None when there is none within `timeout` or no more will come (see `drained`)."""
        try:
            message = self.inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if message is None:
            self.inbox.put(None)  # the mark of the end stays
        return message

    @property
    def drained(self) -> bool:
        """Whether it has closed its output and everything it said has been read."""
        return not self._threads[0].is_alive() and self.inbox.qsize() == 1

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to it and to all that it has started."""
        self._group.signal(number)

    def end(self, grace: float = 0.0) -> int:
        """Wait up to `grace` seconds for its end, then kill it; returns the exit status, negative for a signal.

        What it has started ends with it.
        """
        if grace > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=grace)
        status = self._group.kill()
        self._outbox.put(None)
        for thread in self._threads:
            thread.join(timeout=1.0)
        return status

    def resident_bytes(self) -> int:
        """The memory that it holds; see `services.processes.resident_bytes`."""
        return resident_bytes(self.pid)

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed anything for want of memory since this child was started."""
        return oom_kills() > self._oom_kills

    def _write(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            while (line := self._outbox.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _read_messages(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                message = orjson.loads(line)
                assert isinstance(message["type"], str)
            except (ValueError, KeyError, TypeError, AssertionError):
                log.warning("child_spoke_nonsense", pid=self.pid, line=line[:200], **self.ids)
                continue
            if message["type"] == "ready":
                self.devices = message.get("devices")
                self.ready = True
            self.inbox.put(message)
        self.inbox.put(None)
        self.process.stdout.close()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace").rstrip()[:LINE_LIMIT]
            self.tail.append(line)
            log.debug("child", pid=self.pid, line=line, **self.ids)
        self.process.stderr.close()


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since its start; 0 where it does not say."""
    try:
        for line in Path("/proc/vmstat").read_text("ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
