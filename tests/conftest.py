"""Fixtures for every test. Data files: `tests/support/data.py`; servers: `tests/support/servers.py`."""

pytest_plugins = [
    "tests.support.data",
    "tests.support.installed",
    "tests.support.servers",
    "tests.support.experiments",
    "tests.support.workers",
]
