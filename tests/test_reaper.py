"""A test run that is interrupted or killed leaves no process and no server's folder behind."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support import watchdog
from tests.support.workers import eventually

ROOT = Path(__file__).resolve().parents[1]
WILD = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write("runs")
        time.sleep(600)
"""
"""A daemon: in a session of its own, without its parent, without an environment, deaf to all but SIGKILL."""
STARTS = f"""
import pathlib, subprocess, sys, time

def start(tmp_path):
    subprocess.run([sys.executable, "-I", "-c", {WILD!r}, str(tmp_path / "wild")], env={{}}, check=True)
    while not (tmp_path / "wild").exists():
        time.sleep(0.02)

def test_little(tmp_path):
    start(tmp_path)
    pathlib.Path(MARK).touch()
    time.sleep(600)

def test_much(tmp_path, own_valkey, workshop):
    own_valkey.start()
    start(tmp_path)
    workshop.worker()
    while not workshop.children():
        time.sleep(0.02)
    pathlib.Path(MARK).touch()
    time.sleep(600)
"""
LEAVES = """
import subprocess

def test_leaves_something():
    subprocess.Popen(["sleep", "600"])

def test_is_fine():
    pass
"""


def start(folder: Path, code: str, *options: str, servers: bool = False) -> "subprocess.Popen[bytes]":
    """A small test run with this project's reaper, or with all its plugins."""
    folder.mkdir()
    plugins = (ROOT / "tests" / "conftest.py").read_text() if servers else "pytest_plugins = ['tests.support.reaper']"
    (folder / "conftest.py").write_text(plugins)
    (folder / "test_it.py").write_text(f"MARK = {str(folder / 'mark')!r}\n{code}")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
    # A run of its own, also where this test runs in a process that belongs to another.
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "temporary")]
    if servers:
        command += ["-p", "pytest_timeout"]  # which its plugins know the hooks of
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            [*command, *options, str(folder)],
            cwd=ROOT,
            env={**own, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def folders(run: int) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{watchdog.NAME}-{run:x}-*"))


@pytest.mark.parametrize(
    ("number", "what", "options"),
    [
        (signal.SIGINT, "little", ()),
        (signal.SIGTERM, "little", ("-p", "xdist", "-n", "1")),
        (signal.SIGKILL, "much and servers", ("-p", "xdist", "-n", "1")),
    ],
)
def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path, number: signal.Signals, what: str, options: tuple[str, ...]
) -> None:
    outer = watchdog.own_run()
    assert outer is not None
    run = outer + 1
    much = what != "little"
    process = start(tmp_path / "run", STARTS, "-k", what, *options, servers=much)
    eventually((tmp_path / "run" / "mark").exists, "the run to have started everything")
    assert len(watchdog.members(run)) >= (7 if much else 2)
    assert bool(folders(run)) == much
    process.send_signal(number)
    process.wait()
    eventually(lambda: not watchdog.members(run), f"the run's processes to end: {watchdog.members(run)}")
    eventually(lambda: not folders(run), "the run's folders to be removed")


def test_a_process_that_outlives_its_test_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(tmp_path / "run", f"import tests.support.reaper as r; r.PATIENCE = 0.5\n{LEAVES}")
    assert process.wait() == pytest.ExitCode.TESTS_FAILED
    output = (tmp_path / "run" / "output").read_text()
    assert "2 passed" in output
    assert "outlived the tests that started them" in output
    assert "sleep 600" in output
    own = watchdog.own_run()
    assert own is not None
    assert not watchdog.members(own + 1)
