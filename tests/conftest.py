"""Fixtures for every test. Data files: `tests/support/data.py`; servers: `tests/support/servers.py`.

What tests start ends with their run: `tests/support/reaper.py`.
"""

pytest_plugins = [
    "tests.support.reaper",
    "tests.support.jobs",
    "tests.support.patience",
    "tests.support.data",
    "tests.support.installed",
    "tests.support.servers",
    "tests.support.experiments",
    "tests.support.workers",
]
