"""The embedded service as processes: migrate, then API and worker side by side, supervised until told to stop."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import httpx

PR_SET_PDEATHSIG = 1
MAX_WORKER_RESTARTS = 20


class StartError(Exception):
    """The service could not be started; the message says why and what to do."""


def free_port(host: str) -> int:
    """A port that is free on `host` right now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """Ask Linux to terminate this process when its parent dies: `kill -9` of the parent leaves nothing behind."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Service:
    """API and worker of one home folder. Use as a context manager, then `wait`.

    Args:
        home: folder of database, checkpoints and figures; locked, so that only one service uses it.
        slots: cohorts trained at once.
        log: where the processes write their logs; None: this process's stderr.
    """

    def __init__(
        self, home: Path, *, host: str = "127.0.0.1", port: int = 8000, slots: int = 1, log: IO[bytes] | None = None
    ) -> None:
        self.home = home.expanduser().resolve()
        self.host, self.port, self.slots = host, port or free_port(host), slots
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"
        self._log = log
        self._lock: IO[bytes] | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, patience: float = 60.0) -> None:
        """Start everything and return once requests are accepted.

        Raises:
            StartError: the home folder or the port is taken, or a process ended during start-up.
        """
        self._claim_home()
        self._check_port()
        output = self._log or sys.stderr
        migration = subprocess.run(
            self._command("migrations"), env=self._environment(), stdout=output, stderr=output, check=False
        )
        if migration.returncode:
            message = "the database could not be brought up to date; see the lines above"
            raise StartError(message)
        self._spawn("api", "--host", self.host, "--port", str(self.port))
        if self.slots:
            self._spawn("worker", "--slots", str(self.slots))
        end = time.monotonic() + patience
        while not self._accepts():
            code = self._processes["api"].poll()
            if code is not None:
                message = f"the API ended during start-up with exit code {code}; see the lines above"
                raise StartError(message)
            if time.monotonic() > end:
                message = f"no answer from {self.url} after {patience:.0f} s"
                raise StartError(message)
            time.sleep(0.03)

    def tend(self) -> int | None:
        """Look after the processes once: restart a worker that died; return the API's exit code if it ended."""
        worker = self._processes.get("worker")
        if worker is not None and worker.poll() is not None and self._restarts < MAX_WORKER_RESTARTS:
            self._restarts += 1
            print(f"worker ended with exit code {worker.returncode}; starting it again", file=sys.stderr)
            self._spawn("worker", "--slots", str(self.slots))
        return self._processes["api"].poll()

    def stop(self, patience: float = 30.0) -> None:
        """Drain: SIGTERM to all, worker first to be waited for; what does not leave in time is killed."""
        for process in self._processes.values():
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + patience
        for process in self._processes.values():
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        if self._lock:
            self._lock.close()
            self._lock = None

    def _claim_home(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        import fcntl  # noqa: PLC0415 - not on Windows, where the client and the command must load all the same

        lock = (self.home / "service.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            message = f"another service already uses {self.home}; stop it, or give --home another folder"
            raise StartError(message) from None
        self._lock = lock

    def _check_port(self) -> None:
        with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                message = f"cannot listen on {self.host}:{self.port}: {error.strerror}; give --port another number"
                raise StartError(message) from None

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "FIRSTLIGHT_HOME": str(self.home)}

    def _command(self, module: str, *arguments: str) -> Sequence[str]:
        # -P: the folder this is run in may hold a stranger's `api` or `migrations`.
        return (sys.executable, "-P", "-m", module, *arguments)

    def _spawn(self, module: str, *arguments: str) -> None:
        # preexec_fn is safe here: this process has one thread when it starts others.
        self._processes[module] = subprocess.Popen(
            self._command(module, *arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log or sys.stderr,
            stderr=self._log or sys.stderr,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, see above
        )

    def _accepts(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2.0).is_success
        except httpx.TransportError:
            return False


@contextmanager
def until_signalled() -> Generator[list[int]]:
    """Collect SIGINT and SIGTERM in the yielded list instead of dying of them."""
    received: list[int] = []
    previous = {
        number: signal.signal(number, lambda n, _: received.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
