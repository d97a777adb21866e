"""What a worker resumes from: the newest file that it can see and that is whole."""

import hashlib
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select

from services.db.database import Database
from services.db.tables import AttemptRow, CheckpointRow
from tests.support.supervising import fake, settings_of, supervisor, taken_from
from tests.support.workers import Workshop, eventually

ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ONE
@pytest.mark.parametrize("whole", [True, False])
def test_missing_is_not_damaged(database: Database, tmp_path: Path, whole: bool) -> None:
    files = {1: b"whole" if whole else None, 2: b"damaged", 3: None, 4: b"whole of another host"}
    saved = [
        {"epoch": epoch, "path": f"cohorts/c/a1/epoch-{epoch}.npz", "sha256": hashlib.sha256(b"whole").hexdigest()}
        for epoch in files
    ]
    saved[-1]["path"] = "../elsewhere"
    settings = settings_of(database, tmp_path)
    folder = settings.home / "artifacts" / "cohorts" / "c" / "a1"
    folder.mkdir(parents=True)
    for epoch, content in files.items():
        if content is not None:
            (folder / f"epoch-{epoch}.npz").write_bytes(content)
    taken = taken_from(database, saved=saved)
    child = fake(settings)
    with structlog.testing.capture_logs() as logs:
        checkpoint = supervisor(database, settings, taken, child)._files.resume()
    child.end()
    epochs = {line["event"]: line["epochs"] for line in logs}
    assert epochs == {"checkpoints_damaged": [4, 2], "checkpoints_missing": [3] if whole else [3, 1]}
    missing = next(line for line in logs if line["event"] == "checkpoints_missing")
    assert missing["folder"] == str(settings.home / "artifacts")
    assert (checkpoint and checkpoint["epoch"]) == (1 if whole else None)
    with database.read() as session:
        left = session.scalars(select(CheckpointRow.epoch).order_by(CheckpointRow.epoch)).all()
    assert left == [1, 3]


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_host_with_another_home_says_what_it_misses_and_forgets_nothing(workshop: Workshop, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    first = workshop.worker()
    once = {"action": "stop", "epoch": 0, "mark": str(mark)}
    experiment = workshop.submit((2,), epochs=40, epoch_seconds=0.05, once=once)
    workshop.wait_epoch(experiment, 12)
    first.kill()
    first.wait()
    eventually(lambda: not workshop.children(), "the first worker's child to end with it")

    def saved() -> list[str]:
        with workshop.database.read() as session:
            return list(session.scalars(select(CheckpointRow.path).order_by(CheckpointRow.epoch)))

    before = saved()
    assert before
    mark.unlink()  # who begins at the beginning stops there
    database = f"sqlite:///{workshop.settings.home / 'firstlight.db'}"
    second = workshop.worker(FIRSTLIGHT_HOME=str(tmp_path / "other"), FIRSTLIGHT_DATABASE_URL=database)
    eventually(mark.exists, "the second worker's child to begin")
    second.kill()
    second.wait()
    log = (workshop.folder / "worker-1.log").read_text()
    assert "checkpoints_missing" in log
    assert f"{tmp_path}/other/artifacts" in log
    assert "checkpoints_damaged" not in log
    assert saved() == before
    workshop.worker()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    with workshop.database.read() as session:
        begun = list(session.scalars(select(AttemptRow.from_epoch).order_by(AttemptRow.attempt)))
    assert begun[:2] == [-1, -1]
    assert begun[2] > 0
