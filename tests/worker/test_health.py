"""`python -m worker --check`, a container's health check, beside real workers; and what a heartbeat says."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from services.db.database import Database
from services.db.tables import WorkerRow
from services.heartbeat import FOLDER, silence
from services.settings import Settings
from tests.support.workers import PATIENCE, Workshop, eventually
from worker.bell import Bell
from worker.devices import Devices
from worker.identity import identity
from worker.maintenance import Maintenance


def check(workshop: Workshop) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", "--check"],
        env=workshop.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def listed(workshop: Workshop) -> list[str]:
    with workshop.database.read() as session:
        return list(session.scalars(select(WorkerRow.id)))


def test_a_worker_is_healthy_from_its_first_beat_to_its_drain(workshop: Workshop) -> None:
    assert check(workshop).returncode == 1
    worker = workshop.worker()
    eventually(lambda: silence(workshop.settings.home), f"a heartbeat\n{workshop.logs()}")
    assert (done := check(workshop)).returncode == 0, done.stderr
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    done = check(workshop)
    assert (done.returncode, done.stdout) == (1, "")
    assert str(workshop.settings.home / FOLDER) in done.stderr


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_worker_that_was_taken_off_the_list_puts_itself_on_again(workshop: Workshop) -> None:
    workshop.worker()
    (before,) = eventually(lambda: listed(workshop), f"a worker\n{workshop.logs()}")
    with workshop.database.write() as session:
        session.execute(delete(WorkerRow))
    assert eventually(lambda: listed(workshop), f"the worker on the list\n{workshop.logs()}") == [before]
    assert "worker_was_unknown" in workshop.logs()


class Unreachable(Database):
    """A database that takes no writes."""

    def transact(self, *_: object, **__: object) -> None:  # type: ignore[override]
        raise OperationalError("UPDATE", {}, Exception("away"))


@pytest.mark.parametrize("ailing", [None, "database", "slot", "draining"])
def test_a_heartbeat_says_that_the_database_answers_and_every_slot_works(
    ailing: str | None, migrated_sqlite: Path, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(f"sqlite:///{tmp_path / 'copy.db'}"))
    (tmp_path / "copy.db").write_bytes(migrated_sqlite.read_bytes())
    database = (Unreachable if ailing == "database" else Database)(settings)
    maintenance = Maintenance(
        "wrk_1",
        identity(os.getpid()),
        database,
        settings,
        Bell(),
        devices=Devices(settings),
        register=lambda _session: None,
        draining=lambda: ailing == "draining",
        working=threading.Event().is_set if ailing == "slot" else lambda: True,
        held=list,
    )
    if ailing == "database":
        with pytest.raises(OperationalError):
            maintenance.beat()
    else:
        maintenance.beat()
    database.dispose()
    assert (silence(tmp_path) is None) == (ailing is not None)
