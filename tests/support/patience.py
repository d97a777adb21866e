"""How long a test waits before it gives up: in the time of a machine that has nothing else to do.

A clock on the wall fails tests for what their neighbours do. Where a test waits for a process, it waits as long as that
lives; where it waits for a condition, and around each test as a whole, this clock is the bound.
"""

import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import pytest_timeout

from tests.support.jobs import usable_cores

LOADS = Path("/proc/loadavg")
TICK_SECONDS = 5.0


def crowding() -> float:
    """How many processes want each core right now, at least 1: so many times longer does everything take."""
    try:
        # As bytes: this runs in a signal's handler too, which may interrupt the import of the very codec it would need.
        runnable = float(LOADS.read_bytes().split()[3].partition(b"/")[0])
    except OSError:
        runnable = os.getloadavg()[0]
    return max(1.0, runnable / usable_cores())


class Patience:
    """So many seconds, each of which lasts longer where others want the processor too."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._looked = time.monotonic()

    def lasts(self) -> bool:
        """Whether there is any left; ask often."""
        now = time.monotonic()
        self._left -= (now - self._looked) / crowding()
        self._looked = now
        return self._left > 0


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Count the time that a test may take with this clock instead of the plugin's."""
    if settings.method != "signal":
        return None
    patience = Patience(settings.timeout)

    def look(_number: int, _frame: FrameType | None) -> None:
        if not patience.lasts():
            signal.setitimer(signal.ITIMER_REAL, 0)  # what is torn down now is given its time
            pytest_timeout.timeout_sigalrm(item, settings)

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
    return True
