"""The embedded service's start: it waits for as long as its processes live, and says at once which ended, and how."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from firstlight import process
from firstlight.process import Service, StartError
from tests.support.workers import PATIENCE, eventually

FINE = "pass"
LIVES = "import time; time.sleep(600)"
ANSWERS = """
import http.server, pathlib, sys, time
while not pathlib.Path({mark!r}).exists():
    time.sleep(0.01)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


class Played(Service):
    """A service whose processes run code of the test's own."""

    def __init__(self, home: Path, *, migrations: str = FINE, api: str = LIVES, worker: str = LIVES, **rest: Any):
        self.said: list[str] = []
        super().__init__(home, port=0, say=self.said.append, **rest)
        self.code = {"migrations": migrations, "api": api, "worker": worker}

    def _command(self, module: str, *arguments: str) -> Sequence[str]:
        return (sys.executable, "-c", self.code[module], *arguments)

    def pids(self) -> list[int]:
        return [one.pid for one in self._processes.values()]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_WORD_SECONDS", 0.05)
    monkeypatch.setattr(process, "LAST_WORD_SECONDS", 0.05)


def test_a_slow_start_is_waited_for_and_told(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def about_the_api() -> list[str]:
        return [line for line in service.said if f"waiting for the API to answer at {service.url}" in line]

    def told_to_stop() -> bool:
        if len(about_the_api()) >= 3:
            mark.touch()
        return False

    service = Played(tmp_path / "home", api=ANSWERS.format(mark=str(mark)))
    try:
        assert service.start(told_to_stop) is True
        assert len(about_the_api()) >= 3
        assert service.tend() is None
    finally:
        service.stop()


def test_a_slow_migration_is_told_as_such(tmp_path: Path) -> None:
    service = Played(tmp_path, migrations=LIVES)
    assert service.start(lambda: service.said) is False
    service.stop()
    assert "waiting for the database to be brought up to date" in service.said[0]


def test_the_words_grow_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_WORD_SECONDS", 10.0)
    monkeypatch.setattr(process, "LAST_WORD_SECONDS", 300.0)
    now = [0.0]
    monkeypatch.setattr(process.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(process.time, "sleep", lambda _seconds: now.__setitem__(0, now[0] + 1.0))
    service = Played(tmp_path)
    service._wait(lambda: now[0] > 2000, lambda: False, "something")
    waits = [int(line.split(",")[1].split()[0]) for line in service.said]
    assert waits == [10, 20, 40, 80, 160, 320, 620, 920, 1220, 1520, 1820]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"migrations": "import sys; sys.exit(3)"}, "`migrations` ended with exit code 3"),
        ({"migrations": "import os; os.kill(os.getpid(), 9)"}, "`migrations` was ended by SIGKILL"),
        ({"api": "import sys; sys.exit(2)"}, "the API ended with exit code 2 during start-up"),
        ({"worker": "import sys; sys.exit(7)", "deaths": 1}, "the worker ended with exit code 7 after"),
        ({"worker": "import sys; sys.exit(7)", "deaths": 3}, "3 times in short order during start-up"),
    ],
)
def test_what_ends_is_told_at_once(tmp_path: Path, broken: dict[str, Any], words: str) -> None:
    service = Played(tmp_path, **broken)
    with pytest.raises(StartError, match=words), service:
        pass
    again = [line for line in service.said if "starting it again" in line]
    assert len(again) == max(0, broken.get("deaths", 1) - 1)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Played]:
    """A service that has started."""
    mark = tmp_path / "mark"
    mark.touch()
    with Played(tmp_path / "home", api=ANSWERS.format(mark=str(mark))) as service:
        yield service


def end(service: Played, module: str) -> int:
    """Kill a process of the service; return its number."""
    process = service._processes[module]
    process.kill()
    process.wait()
    return process.pid


@pytest.mark.parametrize("module", ["worker", "api"])
def test_what_is_killed_is_started_again_for_ever(
    running: Played, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    now = [0.0]
    monkeypatch.setattr(process.time, "monotonic", lambda: now[0])
    running._lives[module].since = 0.0
    for number in range(25):
        before = end(running, module)
        assert running.tend() is None
        if number:
            assert "starting it again in" in running.said[-1]
            assert running.tend() is None
            assert running._processes[module].pid == before, "started again without a rest"
        now[0] += process.LONGEST_REST_SECONDS
        assert running.tend() is None
        assert running._processes[module].pid != before
    again = [line for line in running.said if "starting it again" in line]
    rests = [float(line.rsplit(" in ", 1)[1].split()[0]) for line in again[1:]]
    assert rests == [min(0.5 * 2**number, 60.0) for number in range(24)]
    now[0] += process.SOON_SECONDS + 1.0  # one that had lived for long is started again at once
    before = end(running, module)
    assert running.tend() is None
    assert running.said[-1].endswith("starting it again")
    now[0] += 0.01
    assert running.tend() is None
    assert running._processes[module].pid != before


def test_a_service_that_may_not_lose_a_process_says_which_it_lost(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    with Played(tmp_path / "home", api=ANSWERS.format(mark=str(mark)), deaths=1) as service:
        end(service, "api")
        cause = service.tend()
        assert cause is not None
        assert cause.startswith("the API was ended by SIGKILL after")


def test_up_survives_the_death_of_its_api_and_gives_up_with_1_when_it_cannot_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "firstlight", "up", "--home", str(tmp_path), "--slots", "0", "--port"]
    up = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert up.stdout is not None
    url = up.stdout.readline().decode().split()[1]
    [api] = [child for child in psutil.Process(up.pid).children() if "api" in child.cmdline()]
    taken = subprocess.run(
        [*command[:5], str(tmp_path / "other"), "--port", url.rpartition(":")[2]], capture_output=True, check=False
    )
    assert taken.returncode == 1
    assert b"cannot listen" in taken.stderr
    api.kill()

    def answers_again() -> bool:
        assert up.poll() is None, "the service ended with its API"
        try:
            return not api.is_running() and httpx.get(f"{url}/healthz").is_success
        except httpx.TransportError:
            return False

    try:
        eventually(answers_again, "the API to be started again")
    finally:
        up.send_signal(signal.SIGTERM)
        up.communicate(timeout=PATIENCE)
    assert up.returncode == 0


def test_a_start_that_is_called_off_leaves_nothing(tmp_path: Path) -> None:
    service = Played(tmp_path)
    seen: list[int] = []

    def told_to_stop() -> bool:
        seen.extend(service.pids())
        return len(set(seen)) == 3  # migration, API and worker

    assert service.start(told_to_stop) is False
    service.stop()
    assert not [pid for pid in set(seen) if Path(f"/proc/{pid}").exists()]


def test_up_that_is_told_to_stop_while_it_starts_leaves_with_0(tmp_path: Path) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "firstlight", "up", "--home", str(tmp_path), "--port", "0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    eventually((tmp_path / "service.lock").exists, "the start to begin")
    up.send_signal(signal.SIGTERM)
    _, errors = up.communicate(timeout=PATIENCE)
    assert up.returncode == 0, errors.decode()
