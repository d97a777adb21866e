"""Fixtures for every test. Servers: `tests/support/servers.py`."""

pytest_plugins = ["tests.support.servers"]
