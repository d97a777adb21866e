"""Nothing of a program outlives its limit, its caller's error, or its caller."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from services.processes import Group, run
from tests.support.workers import eventually

DRIVER = "sleep 600 & echo $! > '{mark}'; wait"
"""Like a compiler's driver: it waits for the program that does the work."""


def driver(mark: Path) -> list[str]:
    return ["/bin/sh", "-c", DRIVER.format(mark=mark)]


def started(mark: Path) -> bool:
    return mark.exists() and mark.read_text().endswith("\n")


def grandchild(mark: Path) -> psutil.Process:
    """What the driver started, once it has."""
    eventually(lambda: started(mark), "the driver to start its program")
    return psutil.Process(int(mark.read_text()))


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(process: psutil.Process) -> None:
    eventually(lambda: not runs(process.pid), f"{process} to end")


def test_what_was_said_and_how_it_ended_is_told(tmp_path: Path) -> None:
    done = run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], seconds=None, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


def test_a_limit_ends_all_that_was_started(tmp_path: Path) -> None:
    mark, seconds = tmp_path / "pid", 0.1
    while not started(mark):  # a limit so short that nothing was started shows nothing
        seconds *= 2
        with pytest.raises(subprocess.TimeoutExpired):
            run(driver(mark), seconds=seconds)
    eventually(lambda: not runs(int(mark.read_text())), "what the driver started to end")


def test_an_error_of_the_caller_ends_all_that_was_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    group = Group(driver(mark))
    left = grandchild(mark)
    with pytest.raises(ZeroDivisionError), group:
        print(1 / 0)
    gone(left)
    assert group.process.returncode == -signal.SIGKILL
    group.end()  # once more does no harm


def test_what_outlives_a_program_that_has_ended_is_ended(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with Group(["/bin/sh", "-c", f"sleep 600 & echo $! > '{mark}'"]) as group:
        assert group.process.wait() == 0
        left = grandchild(mark)
        assert left.is_running()
    gone(left)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_the_caller_ends_all_that_was_started(tmp_path: Path, number: signal.Signals) -> None:
    mark = tmp_path / "pid"
    code = f"from services.processes import run; run({driver(mark)!r}, seconds=None)"
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    left = grandchild(mark)
    caller.send_signal(number)
    caller.wait()
    gone(left)


def test_processor_time_is_a_limit_of_its_own() -> None:
    spinning = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'while True: pass']).returncode)"
    done = run([sys.executable, "-c", spinning], seconds=None, processor_seconds=1)
    assert -done.returncode % 256 == signal.SIGXCPU, "the program that spun, not the one that waited"


@pytest.mark.parametrize("limit", [None, 5])
def test_a_program_that_is_not_there_cannot_be_started(limit: int | None) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-compiler"):
        run(["no-such-compiler"], seconds=None, processor_seconds=limit)
