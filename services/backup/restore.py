"""Put a backup in place: all of it is checked before anything is touched, and the database comes last."""

import fcntl
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from services.artifacts.chosen import artifacts_of
from services.artifacts.interface import Artifacts, StoreUnreachableError, StoreUnusableError
from services.backup import postgres
from services.backup.archive import Archive, sync_folder
from services.backup.manifest import ARTIFACTS, SQLITE_FILE, BackupError, Manifest
from services.datasets.folder import UploadFolder
from services.datasets.shared import SharedUploads
from services.db import schema
from services.db.database import Database, database_url
from services.db.file_check import damage
from services.science.datasets.upload import UPLOADS
from services.settings import Settings

LOCK = "service.lock"
"""`firstlight up` holds it for as long as it serves the home folder."""
SUFFIXES = ("", "-wal", "-shm")
NOTHING = "nothing was changed"


@dataclass(frozen=True)
class Restored:
    """A backup that is in place.

    Attributes:
        manifest: of the backup.
        revision: of the schema, after the upgrade.
        aside: where the SQLite file that was there lies now; None where there was none.
    """

    manifest: Manifest
    revision: str
    aside: Path | None = None


def restore(settings: Settings, path: Path, *, replace: bool = False) -> Restored:
    """Restore a backup into the database and the folders of the settings, and upgrade the schema to this version's.

    Args:
        settings: name the database, the artifacts and the data folder.
        path: the backup.
        replace: whether what is there may be replaced; a SQLite database is kept aside.

    Raises:
        BackupError: the backup is damaged, newer than this version or of another database, or something is in its
            place, or a service uses that. Nothing was changed then.
        OSError: something cannot be written, for want of space say; what was written is removed again.
    """
    with Archive(path) as archive:
        manifest = archive.manifest
        if not schema.is_known(manifest.revision):
            raise BackupError(
                f"{path} has schema {manifest.revision}, and this version knows schemas up to {schema.latest()}: it "
                f"was written by Firstlight {manifest.firstlight}, restore it with that or a newer one; {NOTHING}"
            )
        kind = database_url(settings.database).get_backend_name()
        if manifest.database != kind:
            raise BackupError(f"{path} is of {manifest.database}, and these settings name {kind}; {NOTHING}")
        with _alone(settings.home):
            files = _Files(settings)
            if not replace:
                _refuse_what_is_there(settings, files)
            archive.verify()
            try:
                files.place(archive)
                if kind == "sqlite":
                    return _restore_sqlite(archive, settings)
                return Restored(manifest, postgres.restore(archive, settings, replace=replace))
            except BaseException as error:
                files.take_back()
                if isinstance(error, StoreUnreachableError):
                    message = (
                        f"the artifacts cannot be stored: {error}; what was written is removed, if that can be done"
                    )
                    raise BackupError(message) from error
                raise


@contextmanager
def _alone(home: Path) -> Generator[None]:
    """Keep an embedded service of this home folder from starting, and refuse to go on while one runs."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BackupError(
                f"a service uses {home}: stop it first, or give --home another folder; {NOTHING}"
            ) from None
        yield


def _refuse_what_is_there(settings: Settings, files: "_Files") -> None:
    """Refuse to restore over a SQLite database or files; what PostgreSQL holds is looked at in its own transaction."""
    url = database_url(settings.database)
    there: list[str] = []
    if url.get_backend_name() == "sqlite":
        beside = [Path(f"{url.database}{suffix}") for suffix in SUFFIXES]
        there += [str(file) for file in beside if file.exists() and file.stat().st_size]
    there += files.present()
    if there:
        raise BackupError(f"something is there already: {'; '.join(there)}. --replace replaces it; {NOTHING}")


class _Files:
    """Checkpoints and uploaded tables in the store and the folder of the settings, and which of them were put there.

    Raises:
        BackupError: the store of the settings can never work, or does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        try:
            self._artifacts: Artifacts = artifacts_of(settings)
            self._cohorts = set(self._artifacts.cohorts())
            self._shared = SharedUploads(settings.data_path, self._artifacts) if settings.shares_uploads else None
            self._tables = self._shared.ids() if self._shared is not None else set[str]()
        except (StoreUnreachableError, StoreUnusableError) as error:
            raise BackupError(f"the artifacts cannot be stored: {error}; {NOTHING}") from error
        self._uploads = UploadFolder(settings.data_path)
        self._home = settings.home
        self._new_checkpoints: list[str] = []
        self._new_tables: list[str] = []

    def present(self) -> list[str]:
        """What is there already, for people to read."""
        checkpoints = [f"checkpoints in {self._artifacts.place}"] if self._cohorts else []
        place = self._uploads.root if self._uploads.ids() else self._artifacts.place
        return [*checkpoints, *([f"uploaded tables in {place}"] if self._tables or self._uploads.ids() else [])]

    def place(self, archive: Archive) -> None:
        """Write checkpoints and uploads where they belong; a table that is there is the same."""
        tables: dict[str, list[str]] = {}
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=self._home) as scratch:
            draft = Path(scratch) / "file"
            for name in archive.manifest.members:
                folder, _, rest = name.partition("/")
                if folder == ARTIFACTS:
                    archive.extract(name, draft)
                    if rest.split("/")[1] not in self._cohorts or not self._artifacts.holds(rest):
                        self._new_checkpoints.append(rest)
                    self._artifacts.put(rest, draft)
                elif folder == UPLOADS:
                    tables.setdefault(rest.split("/")[0], []).append(name)
        for table_id, names in tables.items():
            if self._shared is not None:
                self._shared.settle(table_id)  # a copy of one that was deleted is no table
            with self._uploads.draft(table_id) as draft:
                if draft is not None:
                    self._new_tables.append(table_id)
                    for name in names:
                        archive.extract(name, draft / Path(name).name)
            if self._shared is not None:
                self._shared.settle(table_id)

    def take_back(self) -> None:
        """Remove what was put there; what was there before stays, or is what the backup has of it."""
        self._artifacts.remove(self._new_checkpoints)
        for cohort_id in {name.split("/")[1] for name in self._new_checkpoints} - self._cohorts:
            self._artifacts.remove_cohort(cohort_id)
        for table_id in self._new_tables:
            shutil.rmtree(self._uploads.folder(table_id), ignore_errors=True)
            if self._shared is not None and table_id not in self._tables:
                with suppress(OSError):
                    self._shared.remove(table_id)


def _restore_sqlite(archive: Archive, settings: Settings) -> Restored:
    """Bring a copy up to date beside the database's place, set aside what is there, and let the copy take its place."""
    place = Path(database_url(settings.database).database or "").resolve()
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=place.parent) as folder:
        draft = Path(folder) / "firstlight.db"
        archive.extract(SQLITE_FILE, draft)
        if (problem := damage(draft)) is not None:
            raise BackupError(f"the database in the backup is damaged: {problem}; {NOTHING}")
        copy = Database(settings.model_copy(update={"database_url": SecretStr(f"sqlite:///{draft}")}))
        try:
            copy.upgrade()
            with copy.read_engine.connect() as connection:
                revision = schema.current(connection) or archive.manifest.revision
        finally:
            copy.dispose()
        if draft.with_name(f"{draft.name}-wal").exists():
            raise BackupError(f"the upgraded copy of the database could not be completed; {NOTHING}")
        aside = _set_aside(place)
        try:
            draft.replace(place)
        except OSError:
            if aside is not None:
                _rename(aside, place)
            raise
        sync_folder(place.parent)
    return Restored(archive.manifest, revision, aside)


def _set_aside(place: Path) -> Path | None:
    """Rename a database with what belongs to it; returns its new name, None when there is none."""
    if not place.exists() or not place.stat().st_size:
        for suffix in SUFFIXES:
            Path(f"{place}{suffix}").unlink(missing_ok=True)
        return None
    aside = place.with_name(f"{place.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    _rename(place, aside)
    return aside


def _rename(old: Path, new: Path) -> None:
    """Rename a database with what belongs to it, itself first: a log alone is noticed at the next start."""
    for suffix in SUFFIXES:
        beside = Path(f"{old}{suffix}")
        if beside.exists():
            beside.rename(f"{new}{suffix}")
