"""The embedded service as processes: migrate, then API and worker side by side, supervised until told to stop."""

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

PR_SET_PDEATHSIG = 1
NAMES = {"api": "API", "worker": "worker"}
SOON_SECONDS = 60.0
"""What ends sooner after its start than this is started again more slowly each time."""
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.5, 60.0
"""Before the third start in short order, then twice as long, and so on; the second start is at once."""
LOOK_SECONDS = 0.03
ANSWER_SECONDS = 5.0
STOP_SECONDS = 45.0
"""A little more than a worker takes at most to give back what it trains."""
FIRST_WORD_SECONDS, LAST_WORD_SECONDS = 10.0, 300.0
"""A start that takes long says so after the first, then after twice as long, and at least every last."""


class StartError(Exception):
    """The service could not be started; the message says why and what to do."""


def free_port(host: str) -> int:
    """A port that is free on `host` right now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def run_module(module: str, *arguments: str, home: Path | None = None) -> int:
    """Run a module of the service to its end, on the database that the service of this machine has.

    Args:
        module: such as ``services.backup``.
        arguments: of its command line.
        home: folder of the service; None: that of the environment.

    Returns:
        Its exit code; 1 when it was ended by a signal.
    """
    named = {} if home is None else {"FIRSTLIGHT_HOME": str(home.expanduser().resolve())}
    command = (sys.executable, "-P", "-m", module, *arguments)
    done = subprocess.run(command, env={**os.environ, **named}, check=False)
    return done.returncode if done.returncode >= 0 else 1


def _die_with_parent() -> None:
    """Ask Linux to terminate this process when its parent dies: `kill -9` of the parent leaves nothing behind."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _ending(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


@dataclass
class _Life:
    """How a process that is kept alive has fared.

    Attributes:
        arguments: with which it is started.
        since: when it was started last.
        deaths: how often it has ended in short order.
        due: when it is to be started again; None while it runs.
    """

    arguments: tuple[str, ...]
    since: float = 0.0
    deaths: int = 0
    due: float | None = None


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Service:
    """API and worker of one home folder. Use as a context manager, then `tend` it.

    Args:
        home: folder of database, checkpoints and figures; locked, so that only one service uses it.
        slots: cohorts trained at once.
        log: where the processes write their logs; None: this process's stderr.
        deaths: how often in short order a process may end before the service is given up; None: it never is, once it
            has started, for whatever ails a process may pass.
        say: what to do with a line for whoever waits; default: print it to stderr.
    """

    def __init__(
        self,
        home: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        slots: int = 1,
        log: IO[bytes] | None = None,
        deaths: int | None = None,
        say: Callable[[str], None] = _to_stderr,
    ) -> None:
        self.home = home.expanduser().resolve()
        self.host, self.port, self.slots = host, port or free_port(host), slots
        url_host = f"[{host}]" if ":" in host else host
        self.url = f"http://{url_host}:{self.port}"
        self._log = log
        self._say = say
        self._lock: IO[bytes] | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lives: dict[str, _Life] = {}
        self._most_deaths, self._started = deaths, False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, told_to_stop: Callable[[], object] = lambda: False) -> bool:
        """Start everything and return once requests are accepted, however long that takes on a busy machine.

        Args:
            told_to_stop: asked while waiting.

        Returns:
            Whether requests are accepted; false when told to stop before.

        Raises:
            StartError: the home folder or the port is taken, or a process ended during start-up.
        """
        self._claim_home()
        self._check_port()
        migration = self._spawn("migrations")
        if not self._wait(lambda: migration.poll() is not None, told_to_stop, "the database to be brought up to date"):
            return False
        del self._processes["migrations"]
        if migration.returncode:
            message = f"the database could not be brought up to date: `migrations` {_ending(migration)}, see its lines"
            raise StartError(message)
        self._keep("api", "--first-key", "--host", self.host, "--port", str(self.port))
        if self.slots:
            self._keep("worker", "--slots", str(self.slots))
        self._started = self._wait(self._accepts, told_to_stop, f"the API to answer at {self.url}")
        return self._started

    def _wait(self, ready: Callable[[], bool], told_to_stop: Callable[[], object], what: str) -> bool:
        """Wait while the processes live, and now and then say for what; false when told to stop.

        Raises:
            StartError: a process ended, and its work cannot go on.
        """
        began = time.monotonic()
        word = FIRST_WORD_SECONDS
        while not ready():
            if told_to_stop():
                return False
            if (ended := self.tend()) is not None:
                raise StartError(f"{ended} during start-up; see its lines in the log")
            waited = time.monotonic() - began
            if waited >= word:
                word += min(word, LAST_WORD_SECONDS)
                self._say(f"waiting for {what}, {waited:.0f} s so far; its process lives")
            time.sleep(LOOK_SECONDS)
        return True

    def tend(self) -> str | None:
        """Look after the processes once: start again what died; say what ended if the service is given up for it."""
        for module, life in self._lives.items():
            process = self._processes[module]
            if life.due is not None:
                if time.monotonic() >= life.due:
                    self._start(module, life)
            elif process.poll() is not None and (cause := self._bury(module, life, process)) is not None:
                return cause
        return None

    def _bury(self, module: str, life: _Life, process: subprocess.Popen[bytes]) -> str | None:
        """Note that a process has ended and when to start it again; what to say if that ends the service."""
        lived = time.monotonic() - life.since
        life.deaths = 1 if lived > SOON_SECONDS else life.deaths + 1
        cause = f"the {NAMES[module]} {_ending(process)}"
        if module == "api" and not self._started:
            return cause  # what is wrong with its address or its settings does not pass
        cause = f"{cause} after {lived:.1f} s"
        if self._most_deaths is not None and life.deaths >= self._most_deaths:
            return cause if life.deaths == 1 else f"{cause}, {life.deaths} times in short order"
        rest = 0.0 if life.deaths == 1 else min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2 ** (life.deaths - 2))
        self._say(f"{cause}; starting it again{f' in {rest:g} s' if rest else ''}")
        life.due = time.monotonic() + rest
        return None

    def stop(self, patience: float = STOP_SECONDS) -> None:
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
        self._lives.clear()
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

    def _keep(self, module: str, *arguments: str) -> None:
        self._lives[module] = _Life(arguments)
        self._start(module, self._lives[module])

    def _start(self, module: str, life: _Life) -> None:
        life.since, life.due = time.monotonic(), None
        self._spawn(module, *life.arguments)

    def _spawn(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        # preexec_fn is safe here: this process has one thread when it starts others.
        self._processes[module] = subprocess.Popen(
            self._command(module, *arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._log or sys.stderr,
            stderr=self._log or sys.stderr,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, see above
        )
        return self._processes[module]

    def _accepts(self) -> bool:
        # Not httpx: a client of its own for each question costs 30 ms of processor time, which a start needs itself.
        connection = http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


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
