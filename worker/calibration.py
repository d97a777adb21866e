"""Measures the machine once, in a quiet moment after the worker's start, for the quotes of this and later starts.

The measuring is a child process that trains tiny cohorts, `services.training.calibrate`. It gives way to work at once,
and nothing that goes wrong with it costs more than a better quote.
"""

import fcntl
import hashlib
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import orjson
import structlog

from services.db.database import Database
from services.processes import Group, limited
from services.quotes.machine import NUMBERS, checked, confirm, store
from services.settings import Settings
from services.training.native.build import identity as kernel_identity
from worker.environment import child_environment, threads, usable_cores

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-P", "-m", "services.training.calibrate")
IDLE_SECONDS = 3.0
"""How long every slot must have been idle, so that nobody's first submission waits."""
WATCH_SECONDS = 0.05
PROCESSOR_SECONDS = 400
"""A probe uses some seconds of processor time; on a busy machine they may take any time."""
LIMIT_SECONDS = 3600.0
"""For a probe that waits for something that never comes."""
ATTEMPTS = 20
FAILURES = 3
LOCK = "calibration.lock"
"""Two workers of one home measure one after the other, or each would measure the other."""
VERSION = 1
"""To be raised when a number changes its meaning."""


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """The probe was killed, for there was work, or the worker ends."""


class Calibration(threading.Thread):
    """Measures once and ends.

    Args:
        worker_id: whose child the probe is.
        database: where the numbers are kept.
        settings: the worker's.
        idle: whether every slot waits for work, its next process ready.
        command: the probe, to which its options are added.
    """

    def __init__(
        self,
        worker_id: str,
        database: Database,
        settings: Settings,
        idle: Callable[[], bool],
        *,
        command: Sequence[str] = COMMAND,
    ) -> None:
        super().__init__(name="calibration", daemon=True)
        self._worker_id = worker_id
        self._database = database
        self._settings = settings
        self._idle = idle
        self._command = command
        self._ended = threading.Event()

    def stop(self) -> None:
        """End soon, and the probe with it."""
        self._ended.set()

    def run(self) -> None:
        """Find a set of numbers for this machine, or measure one."""
        try:
            digest = machine_digest(self._settings)
            if not self._known(digest):
                self._measure(digest)
        except Exception as error:  # noqa: BLE001 - it is only about better quotes
            log.warning("calibration_failed", error=f"{type(error).__name__}: {error}"[:500])

    def _known(self, digest: str) -> bool:
        return self._database.transact(lambda session: confirm(session, digest))

    def _measure(self, digest: str) -> None:
        """Measure in as many quiet moments as it takes until it succeeds, within reason."""
        failures = 0
        for _ in range(ATTEMPTS):
            if failures >= FAILURES or not self._quiet():
                return
            try:
                with locked(self._settings.home / LOCK) as ours:
                    if not ours:
                        continue
                    if not self._known(digest):
                        numbers = self._probe()
                        self._database.transact(lambda session: store(session, digest, numbers))  # noqa: B023 - at once
                        log.info("machine_measured", machine=digest, **numbers)
                    return
            except Interrupted:
                log.debug("calibration_interrupted")
            except (OSError, ValueError) as error:
                failures += 1
                if failures == 1:
                    log.warning("calibration_failed", error=str(error)[:500])

    def _quiet(self) -> bool:
        """Wait until the slots have been idle for a while; false when the worker ends before."""
        since = time.monotonic()
        while not self._ended.wait(WATCH_SECONDS):
            if not self._idle():
                since = time.monotonic()
            elif time.monotonic() - since >= IDLE_SECONDS:
                return True
        return False

    def _probe(self) -> dict[str, float]:
        """Run the probe.

        Raises:
            Interrupted: it had to give way.
            OSError: it cannot be started.
            ValueError: it failed, took too long, or said something else than the numbers.
        """
        options = {"threads": threads(self._settings), "device": self._settings.device, "engine": self._settings.engine}
        command = [*self._command, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        with Group(
            limited(command, PROCESSOR_SECONDS),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(os.environ, self._settings, self._worker_id),
        ) as group:
            output, complained = self._watch(group.process)
        if status := group.process.returncode:
            raise ValueError(f"the probe ended with {status}: {complained.decode(errors='replace')[-300:]}")
        last = (output.splitlines() or [b""])[-1]
        try:
            numbers = orjson.loads(last)
        except orjson.JSONDecodeError:
            raise ValueError(f"the probe said {last[:80]!r} instead of its numbers") from None
        return checked(numbers)

    def _watch(self, process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            with suppress(subprocess.TimeoutExpired):
                return process.communicate(timeout=WATCH_SECONDS)
            if self._ended.is_set() or not self._idle():
                raise Interrupted
        raise ValueError(f"the probe was not done after {LIMIT_SECONDS:g} s")


def machine_digest(settings: Settings) -> str:
    """Names what the numbers belong to, in 12 hexadecimal digits; another machine, or other software, has its own."""
    parts = [
        VERSION,
        NUMBERS,
        socket.gethostname(),
        processor(),
        usable_cores(),
        threads(settings),
        settings.device,
        sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*")),
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        settings.engine,
        metadata.version("torch"),
        kernel_identity(),
    ]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:12]


def processor() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@contextmanager
def locked(path: Path) -> Generator[bool]:
    """Hold the lock, if nobody else does; the system lets go of it when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
