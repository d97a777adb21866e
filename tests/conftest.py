"""Fixtures for every test. Data files: `tests/support/data.py`; servers: `tests/support/servers.py`.

What tests start ends with their run: `tests/support/reaper.py`.
"""

import signal
import sys
import threading
from collections.abc import Iterator

import hypothesis
import pytest

from services.settings import PREFIX, Settings

# A shell lets what it starts in the background ignore SIGINT; the processes of a test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A clock per example fails on a busy machine; the limit of each test is the bound.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

collect_ignore = [] if sys.platform == "linux" else ["test_reaper.py"]
"""Only Linux marks what a run has started; elsewhere its fixtures alone end it."""

pytest_plugins = [
    "tests.support.reaper",
    "tests.support.jobs",
    "tests.support.patience",
    "tests.support.data",
    "tests.support.installed",
    "tests.support.servers",
    "tests.support.s3_server",
    "tests.support.experiments",
    "tests.support.workers",
    "tests.support.command",
]


@pytest.fixture(scope="session", autouse=True)
def settings_of_the_tests_alone() -> Iterator[None]:
    """A developer's shell may hold keys, folders and an engine for a service of their own: no test takes them over."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(f"{PREFIX}{name.upper()}", raising=False)
            patch.delenv(f"{PREFIX}{name.upper()}_FILE", raising=False)
        yield
