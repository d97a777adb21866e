"""Nothing that tests start outlives their run, not even when the run is killed; what does otherwise is an error.

A watchdog process holds the reading end of a pipe whose other end is the run's. See `tests/support/watchdog.py`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import watchdog

WATCHDOG = Path(watchdog.__file__)
PATIENCE = 60.0
"""For processes that are about to end when the last test is over."""


@dataclass
class Run:
    """What `pytest_unconfigure` needs to know."""

    number: int
    before: int
    process: "subprocess.Popen[bytes]"


_running = pytest.StashKey[Run]()


def pytest_configure(config: pytest.Config) -> None:
    """Start the watchdog and mark the run. The processes that share its tests are marked already."""
    if sys.platform != "linux" or "PYTEST_XDIST_WORKER" in os.environ:
        return
    run = watchdog.new_run()
    process = subprocess.Popen(
        [sys.executable, "-I", str(WATCHDOG), str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    config.stash[_running] = Run(run, watchdog.mark(run), process)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """After everything else has been torn down nothing of the run may be left."""
    yield
    run = session.config.stash.get(_running, None)
    if run is None or session.exitstatus == pytest.ExitCode.INTERRUPTED:
        return
    end = time.monotonic() + PATIENCE
    while (left := watchdog.members(run.number)) and time.monotonic() < end:
        time.sleep(0.02)
    if left:
        lines = "\n".join(f"  {watchdog.described(pid)}" for pid in left)
        sys.stderr.write(f"\nthese processes outlived the tests that started them:\n{lines}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the watchdog do its part, and wait for it."""
    run = config.stash.get(_running, None)
    if run is not None:
        del config.stash[_running]
        watchdog.mark(run.before)  # this process is not to be ended with the run
        run.process.communicate()
