"""A backup of a service whose files are in a bucket, and one that is restored to a bucket."""

import hashlib
import io
from pathlib import Path

import pytest
from sqlalchemy import select

from services.artifacts.chosen import artifacts_of
from services.backup.manifest import BackupError
from services.backup.restore import restore
from services.backup.save import save
from services.datasets.shared import shared_uploads
from services.datasets.store import UploadStore
from services.datasets.uploads import upload_csv
from services.db.database import Database
from services.db.tables import CheckpointRow, CohortRow
from services.settings import Settings
from tests.support.experiments import make_experiment
from tests.support.s3_server import BUCKET, S3Server
from tests.support.supervising import settings_of

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CSV = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(40))


@pytest.fixture
def saved(database: Database, tmp_path: Path, s3_server: S3Server) -> Path:
    """A backup of a service with its files in the bucket, made on a host that has none of them."""
    settings = settings_of(database, tmp_path, artifacts_url=f"s3://{BUCKET}/one")
    upload_csv(tmp_path / "api" / "data", "default", io.BytesIO(CSV), shared=None)
    uploader = Settings(home=tmp_path / "api", artifacts_url=f"s3://{BUCKET}/one")
    upload_csv(uploader.data_path, "default", io.BytesIO(CSV), shared=shared_uploads(uploader))
    store = artifacts_of(settings)
    with database.write() as session:
        make_experiment(session, (2,))
        cohort = session.scalars(select(CohortRow)).one()
        file = store.attempt_folder(cohort.id, 1) / "epoch-3.npz"
        file.write_bytes(b"state")
        row = {"path": store.publish(file), "sha256": hashlib.sha256(b"state").hexdigest(), "bytes": 5}
        session.add(CheckpointRow(cohort_id=cohort.id, epoch=3, attempt=1, **row))
    made = save(settings, tmp_path / "b.zip")
    assert made.manifest.left_out == ()
    assert sum(name.startswith(("artifacts/", "uploads/")) for name in made.manifest.members) == 3
    return tmp_path / "b.zip"


def names(s3_server: S3Server, prefix: str) -> dict[str, bytes]:
    """What lies below a prefix, without what says that a table is whole."""
    return {
        name.removeprefix(prefix): content
        for name, (content, _) in s3_server.objects.items()
        if name.startswith(f"{prefix}cohorts/") or (name.startswith(f"{prefix}uploads/") and ".json" not in name)
    }


@SQLITE
def test_what_is_in_one_bucket_comes_into_another(saved: Path, tmp_path: Path, s3_server: S3Server) -> None:
    elsewhere = Settings(home=tmp_path / "elsewhere", artifacts_url=f"s3://{BUCKET}/two")
    restore(elsewhere, saved)
    assert names(s3_server, "two/") == names(s3_server, "one/") != {}
    assert len(UploadStore(elsewhere.data_path, "default", shared_uploads(elsewhere)).list()) == 1
    with pytest.raises(BackupError, match=rf"checkpoints in s3://{BUCKET}/two; uploaded tables in "):
        restore(Settings(home=tmp_path / "third", artifacts_url=f"s3://{BUCKET}/two"), saved)
    restore(Settings(home=tmp_path / "fourth"), saved)
    assert len(list((tmp_path / "fourth" / "artifacts").rglob("*.npz"))) == 1


@SQLITE
def test_a_restore_that_fails_leaves_nothing_in_the_bucket(
    saved: Path, tmp_path: Path, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Settings(home=tmp_path / "elsewhere", artifacts_url=f"s3://{BUCKET}/two")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("services.backup.restore._restore_sqlite", full)
        with pytest.raises(OSError, match="No space"):
            restore(elsewhere, saved)
    assert s3_server.names("two/") == []
    assert not list((elsewhere.home / "data" / "uploads").iterdir())
    s3_server.failing = {"PUT"}
    with pytest.raises(BackupError, match=r"the artifacts cannot be stored: .*503"):
        restore(elsewhere, saved)
    assert s3_server.names("two/") == []
    assert not list((elsewhere.home / "data" / "uploads").glob("*"))


@SQLITE
def test_no_backup_is_made_while_the_store_is_away(
    saved: Path, database: Database, tmp_path: Path, s3_server: S3Server
) -> None:
    s3_server.stop()
    settings = settings_of(database, tmp_path, artifacts_url=f"s3://{BUCKET}/one")
    with pytest.raises(BackupError, match="the artifacts cannot be read, and no backup was made: "):
        save(settings, tmp_path / "c.zip")
    assert not (tmp_path / "c.zip").exists()
    with pytest.raises(BackupError, match="nothing was changed"):
        restore(Settings(home=tmp_path / "elsewhere", artifacts_url=f"s3://{BUCKET}/two"), saved)
