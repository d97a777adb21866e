"""Fixtures for tests of parts of a worker."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.db.database import Database
from services.settings import Settings
from worker.bell import Bell
from worker.devices import Devices
from worker.slot import Slot

WAITS = (sys.executable, "-c", "import time; time.sleep(600)")


@pytest.fixture
def slot(database: Database, tmp_path: Path) -> Iterator[Slot]:
    """A lane that is not started."""
    settings = Settings(home=tmp_path / "home")
    made = Slot(0, "w", database, settings, Bell(), command=WAITS, devices=Devices(settings), more_work=lambda: None)
    yield made
    if made._spare is not None:
        made._spare.end()
