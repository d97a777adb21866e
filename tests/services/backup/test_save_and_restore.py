"""What is restored is what was there, bit for bit, on both databases; and nothing is restored over anything unasked."""

import fcntl
import hashlib
import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from services.artifacts.folder import FolderArtifacts
from services.backup import restore as restore_module
from services.backup.manifest import BackupError
from services.backup.restore import restore
from services.backup.save import save
from services.datasets.store import UploadStore
from services.datasets.uploads import upload_csv
from services.db import schema
from services.db.database import Database
from services.db.tables import (
    CheckpointRow,
    CohortRow,
    CurveRow,
    DiagnosticRow,
    EpochRow,
    IdempotencyRow,
    TrialRow,
)
from services.settings import Settings
from tests.services.backup.conftest import rows_of
from tests.support.experiments import make_experiment

Opened = Callable[[Settings], Database]
ODD = "tab\t, line\n, quote \" and ', \\N, ünïcode, 🧪, \x7f"
NUMBERS = (0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, None)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRES = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def checkpoint(database: Database, home: Path, epoch: int, content: bytes, *, file: bool = True) -> str:
    """A checkpoint of the first cohort, with or without its file; returns its path in the database."""
    with database.write() as session:
        cohort = session.scalars(select(CohortRow).order_by(CohortRow.position)).first()
        assert cohort is not None
        path = FolderArtifacts(home / "artifacts").attempt_folder(cohort.id, 1) / f"epoch-{epoch}.npz"
        if file:
            path.write_bytes(content)
        name = FolderArtifacts(home / "artifacts").publish(path)
        digest = hashlib.sha256(content).hexdigest()
        row = CheckpointRow(cohort_id=cohort.id, epoch=epoch, attempt=1, path=name, sha256=digest, bytes=len(content))
        session.add(row)
    return name


def fill(database: Database, home: Path) -> str:
    """Something of everything; returns the id of an uploaded table."""
    with database.write() as session:
        experiment = make_experiment(session, (2, 1), spec={"name": ODD, "deep": [{"a": [1, 2.5, None, True]}]})
        session.add(IdempotencyRow(key=ODD[:20], request_hash="0" * 64, experiment_id=experiment, response={"b": 0.1}))
        trial = session.scalars(select(TrialRow.id)).first()
        for epoch, number in enumerate(NUMBERS):
            session.add(EpochRow(trial_id=trial, epoch=epoch, val_loss=number, extra={"x": number}))
        session.add(DiagnosticRow(trial_id=trial, epoch=0, layer="dense_1", layer_index=0, values={"h": [1e-300]}))
        session.add(CurveRow(trial_id=trial, metric="val_loss", values=bytes(range(256)) * 5))
    checkpoint(database, home, 3, b"older" * 1000)
    checkpoint(database, home, 4, b"newer" * 1000)
    table = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(40))
    return upload_csv(home / "data", "default", io.BytesIO(table)).id


def test_what_is_restored_is_what_was_there(
    database: Database, settings: Settings, elsewhere: Settings, opened: Opened, tmp_path: Path
) -> None:
    upload = fill(database, settings.home)
    before = rows_of(database)
    saved = save(settings, tmp_path / "b.zip")
    assert saved.manifest.left_out == ()
    with database.write() as session:
        make_experiment(session, (5,))  # later than the snapshot
    restored = restore(elsewhere, tmp_path / "b.zip")
    assert restored.revision == schema.latest()
    after = rows_of(opened(elsewhere))
    assert after == before
    assert sum(map(len, after.values())) > 15
    signs = [[math.copysign(1.0, row[3]) for row in rows["epoch_rows"] if row[3] == 0.0] for rows in (before, after)]
    assert signs[0] == signs[1] != []
    for path in (settings.home / "artifacts").rglob("*.npz"):
        assert (elsewhere.home / path.relative_to(settings.home)).read_bytes() == path.read_bytes()
    assert UploadStore(elsewhere.data_path, "default").get(upload) == UploadStore(settings.data_path, "default").get(
        upload
    )
    assert not list(elsewhere.home.rglob(".*")), "a draft was left"
    with opened(elsewhere).write() as session:  # foreign keys, defaults and checks are there
        make_experiment(session, (1,))


def test_checkpoints_of_final_cohorts_stay_out_and_missing_ones_are_named(
    database: Database, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    fill(database, settings.home)
    missing = checkpoint(database, settings.home, 5, b"gone", file=False)
    saved = save(settings, tmp_path / "b.zip")
    assert saved.manifest.left_out == (missing,)
    assert sum(name.startswith("artifacts/") for name in saved.manifest.members) == 2
    restore(elsewhere, tmp_path / "b.zip")
    assert len(list((elsewhere.home / "artifacts").rglob("*.npz"))) == 2
    with database.write() as session:
        session.execute(update(CohortRow).values(state="succeeded"))
    assert not [name for name in save(settings, tmp_path / "c.zip").manifest.members if name.startswith("artifacts/")]


@SQLITE
def test_what_cannot_be_read_is_kept_as_it_is(
    database: Database, settings: Settings, elsewhere: Settings, opened: Opened, tmp_path: Path
) -> None:
    fill(database, settings.home)
    with database.write() as session:
        session.execute(text("UPDATE trials SET arm = '{no json', started_at = 'never'"))
    before = rows_of(database)
    save(settings, tmp_path / "b.zip")
    restore(elsewhere, tmp_path / "b.zip")
    assert rows_of(opened(elsewhere)) == before


def test_nothing_is_replaced_unasked(
    database: Database, settings: Settings, elsewhere: Settings, opened: Opened, tmp_path: Path
) -> None:
    fill(database, settings.home)
    save(settings, tmp_path / "b.zip")
    with database.write() as session:
        make_experiment(session, (5,))
    before = rows_of(database)
    database.dispose()
    files = sorted(settings.home.rglob("*"))
    with pytest.raises(BackupError, match=r"--replace replaces (it|them); nothing was changed"):
        restore(settings, tmp_path / "b.zip")
    assert rows_of(database) == before
    database.dispose()
    assert [file for file in sorted(settings.home.rglob("*")) if file.name != "service.lock"] == files
    restored = restore(settings, tmp_path / "b.zip", replace=True)
    restore(elsewhere, tmp_path / "b.zip")
    assert rows_of(opened(settings)) == rows_of(opened(elsewhere)) != before
    if database.is_sqlite:
        assert restored.aside is not None
        aside = Settings.model_validate({"home": settings.home, "database_url": f"sqlite:///{restored.aside}"})
        assert rows_of(opened(aside)) == before


def test_files_alone_are_something_too(
    database: Database, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    upload = fill(database, settings.home)
    save(settings, tmp_path / "b.zip")
    (elsewhere.data_path / "uploads" / upload).mkdir(parents=True)
    (elsewhere.home / "artifacts" / "cohorts" / "coh_1").mkdir(parents=True)
    with pytest.raises(BackupError, match=r"checkpoints in .*; uploaded tables in .*; nothing was changed"):
        restore(elsewhere, tmp_path / "b.zip")


@POSTGRES
def test_a_database_in_use_is_not_replaced(
    database: Database, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    fill(database, settings.home)
    save(settings, tmp_path / "b.zip")
    api = Database(settings, application="firstlight-api")
    api.now()
    with pytest.raises(BackupError, match=r"in use by firstlight, firstlight-api: stop"):
        restore(settings, tmp_path / "b.zip", replace=True)
    api.dispose()


def test_a_running_service_is_in_the_way(
    database: Database, settings: Settings, elsewhere: Settings, tmp_path: Path
) -> None:
    save(settings, tmp_path / "b.zip")
    elsewhere.home.mkdir()
    with (elsewhere.home / "service.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match=r"a service uses .*elsewhere: stop it first"):
            restore(elsewhere, tmp_path / "b.zip")


def test_a_damaged_backup_changes_nothing(
    database: Database, settings: Settings, elsewhere: Settings, opened: Opened, tmp_path: Path
) -> None:
    fill(database, settings.home)
    path = tmp_path / "b.zip"
    save(settings, path)
    content = bytearray(path.read_bytes())
    content[content.index(b"newer" * 10)] ^= 1
    path.write_bytes(content)
    with pytest.raises(BackupError, match=r"damaged in artifacts/cohorts/coh_\w+/a1/epoch-4\.npz"):
        restore(elsewhere, path)
    assert [file.name for file in elsewhere.home.rglob("*")] == ["service.lock"]


def test_a_restore_that_breaks_off_takes_its_files_back(
    database: Database,
    settings: Settings,
    elsewhere: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Opened,
) -> None:
    fill(database, settings.home)
    save(settings, tmp_path / "b.zip")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(restore_module, "_restore_sqlite", full)
    monkeypatch.setattr(schema, "upgrade_within", full)
    with pytest.raises(OSError, match="No space left"):
        restore(elsewhere, tmp_path / "b.zip")
    assert not list(elsewhere.home.rglob("*.npz"))
    if not database.is_sqlite:
        assert rows_of(opened(elsewhere)) == {}


def test_an_older_schema_is_upgraded_and_a_newer_one_is_refused(
    database: Database, settings: Settings, elsewhere: Settings, opened: Opened, tmp_path: Path
) -> None:
    fill(database, settings.home)
    database.dispose()
    engine = database.unhurried_engine()
    schema.downgrade(engine, "0002")
    engine.dispose()
    before = rows_of(database)
    assert save(settings, tmp_path / "old.zip").manifest.revision == "0002"
    restored = restore(elsewhere, tmp_path / "old.zip")
    assert (restored.manifest.revision, restored.revision) == ("0002", schema.latest())
    after = rows_of(opened(elsewhere))
    assert {name: len(after[name]) for name in before} == {name: len(rows) for name, rows in before.items()}
    assert after["epoch_rows"] == before["epoch_rows"]
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(BackupError, match=r"stands at schema 9999, and this version knows schemas up to"):
        save(settings, tmp_path / "new.zip")
    assert not (tmp_path / "new.zip").exists()
    with zipfile.ZipFile(tmp_path / "old.zip") as old, zipfile.ZipFile(tmp_path / "new.zip", "w") as new:
        for name in old.namelist():
            new.writestr(
                name,
                old.read(name)
                .replace(b'"revision":"0002"', b'"revision":"9999"')
                .replace(b'"revision": "0002"', b'"revision": "9999"'),
            )
    with pytest.raises(BackupError, match=r"has schema 9999, and this version knows schemas up to"):
        restore(elsewhere, tmp_path / "new.zip", replace=True)


@SQLITE
def test_a_backup_goes_into_a_database_of_its_kind(
    database: Database, settings: Settings, postgres_url: str, tmp_path: Path
) -> None:
    save(settings, tmp_path / "b.zip")
    other = Settings.model_validate({"home": tmp_path / "other", "database_url": postgres_url})
    with pytest.raises(BackupError, match="is of sqlite, and these settings name postgresql"):
        restore(other, tmp_path / "b.zip")


@SQLITE
def test_a_damaged_database_is_not_backed_up(database: Database, settings: Settings, tmp_path: Path) -> None:
    fill(database, settings.home)
    with database.write() as session:
        make_experiment(session, (1000,))
    database.dispose()
    path = settings.home / "firstlight.db"
    content = bytearray(path.read_bytes())
    content[8192 : len(content) - 8192] = b"\xa5" * (len(content) - 16384)
    path.write_bytes(content)
    with pytest.raises(BackupError, match=r"the database (is damaged|cannot be read), and no backup was made of it"):
        save(settings, tmp_path / "b.zip")
    assert not list(tmp_path.glob("*.zip"))
    assert not list(tmp_path.glob(".b*"))


def test_where_there_is_no_database_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match=r"there is no database at .*none/firstlight\.db"):
        save(Settings(home=tmp_path / "none"), tmp_path / "b.zip")
    assert list(tmp_path.iterdir()) == []


@POSTGRES
def test_a_schema_without_rows_is_not_in_the_way(
    database: Database, settings: Settings, elsewhere: Settings, opened: Opened, tmp_path: Path
) -> None:
    """As the migration of a new stack leaves it before anybody has used it."""
    fill(database, settings.home)
    save(settings, tmp_path / "b.zip")
    empty = opened(elsewhere)
    empty.upgrade()
    empty.dispose()
    restore(elsewhere, tmp_path / "b.zip")
    assert rows_of(empty) == rows_of(database)
