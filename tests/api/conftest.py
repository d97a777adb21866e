"""A real HTTP server over a real database, in a thread of the test process, and a child that trains in an instant."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import httpx
import pytest
import structlog
from pydantic import SecretStr

from api.__main__ import Server, configuration
from api.app import create_app
from services.child_protocol import EpochReport, Epochs
from services.cohorts.claim import claim
from services.cohorts.commit import commit_epochs, started
from services.cohorts.endings import finish
from services.db.database import Database
from services.queue import SilentDoorbell
from services.settings import Settings
from tests.support.workers import PATIENCE

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": ["he_uniform", "glorot_uniform"],
    "epochs": 3,
    "seeds": 3,
}


@dataclass
class Served:
    """A running server, its database, and a client of it."""

    http: httpx.Client
    database: Database
    settings: Settings
    stop: Callable[[], None]

    def submit(self, **changes: Any) -> dict[str, Any]:
        answer = self.http.post("/v1/experiments", json={**SPEC, **changes})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def train(self, *, diverged: int | None = None) -> None:
        """Claim everything that waits and report made-up epochs; `diverged` is a slot that diverges at epoch 2."""
        while True:
            with self.database.write() as session:
                cohort = claim(session, "wrk_test", 60.0)
            if cohort is None:
                return
            with self.database.write() as session:
                started(session, cohort.cohort_id, cohort.attempt, "cpu", "d" * 64)
            for epoch in range(cohort.epochs + 1):
                with self.database.write() as session:
                    report = epochs_message(epoch, len(cohort.trials), diverged)
                    commit_epochs(session, cohort.cohort_id, cohort.attempt, report, 60.0)
            with self.database.write() as session:
                finish(session, cohort.cohort_id, cohort.attempt)


def epochs_message(epoch: int, size: int, diverged: int | None = None) -> Epochs:
    """One epoch of `size` trials, every number its own; the `diverged` slot stops being finite at epoch 2."""
    gone = [slot == diverged and epoch >= 2 for slot in range(size)]
    values = [None if gone[slot] else 1.0 / (1 + epoch) + 0.1 * slot + 0.001 * slot * epoch for slot in range(size)]
    report: EpochReport = {
        "epoch": epoch,
        "seconds": 0.01,
        "metrics": {"train_loss": [None] * size if epoch == 0 else values, "val_loss": values, "val_accuracy": values},
        "diverged": [{"slot": diverged, "layer": "dense_1"}] if diverged is not None and epoch == 2 else [],
    }
    return {"type": "epochs", "from": epoch, "to": epoch, "epochs": [report]}


@contextmanager
def serving(home: Path, url: str, **overrides: Any) -> Iterator[Served]:
    """Serve on a free port until the block ends."""
    settings = Settings(home=home, database_url=SecretStr(url), **overrides)
    database = Database(settings)
    app = create_app(settings, database=database, doorbell=SilentDoorbell())
    config = configuration(app, "127.0.0.1", 0)
    server = Server(config, app.state.context.hub)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]

    def stop() -> None:
        server.handle_exit(15, None)
        thread.join(timeout=PATIENCE)
        assert not thread.is_alive()

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        try:
            yield Served(client, database, settings, stop)
        finally:
            stop()


@pytest.fixture(scope="session", autouse=True)
def plain_log() -> Iterator[None]:
    """One line of JSON for each event: the default draws every local variable of a traceback, which takes seconds."""
    before = structlog.get_config()
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def serve() -> Callable[..., Any]:
    """`serving`, for tests that need settings of their own."""
    return serving


@pytest.fixture
def sqlite_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of this test alone."""
    copyfile(migrated_sqlite, tmp_path / "firstlight.db")
    return f"sqlite:///{tmp_path / 'firstlight.db'}"


@pytest.fixture
def served(sqlite_url: str, tmp_path: Path) -> Iterator[Served]:
    """A server on SQLite."""
    with serving(tmp_path, sqlite_url) as server:
        yield server


@pytest.fixture
def served_by_both(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """The same test on SQLite and on PostgreSQL."""
    with serving(tmp_path, database_url) as server:
        yield server


@pytest.fixture(scope="module")
def shared(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests of a module that do not look at the whole list."""
    home = tmp_path_factory.mktemp("home")
    copyfile(migrated_sqlite, home / "firstlight.db")
    with serving(home, f"sqlite:///{home / 'firstlight.db'}") as server:
        yield server
