"""Make a backup while the service runs: one moment of the database, and the files that its rows name."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from sqlalchemy.exc import DBAPIError

from services.artifacts import Artifacts
from services.backup.archive import ArchiveWriter
from services.backup.manifest import ARTIFACTS, FORMAT, BackupError, Manifest, is_member_name
from services.backup.snapshot import Checkpoint, snapshot
from services.datasets.store import UploadFolder
from services.db.database import Database, database_url
from services.errors import GoneError, NotFoundError
from services.science.datasets.upload import UPLOADS
from services.settings import Settings

MOST_HELD = 256
"""Files that are opened right after the snapshot, so that they stay readable when they are tidied away."""


@dataclass(frozen=True)
class Saved:
    """A backup that was made: its manifest, and its size in bytes."""

    manifest: Manifest
    bytes: int


def save(settings: Settings, path: Path) -> Saved:
    """Write a backup of the database, the uploaded tables and the checkpoints of cohorts that are not final.

    Args:
        settings: name the database, the artifacts and the data folder.
        path: where to; nothing is written over.

    Raises:
        BackupError: the name is taken, the database is damaged, or of a schema that this version does not know.
        OSError: it cannot be written, for want of space say; nothing is left of it.
    """
    url = database_url(settings.database)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise BackupError(f"there is no database at {url.database}: nothing to back up; --home names another folder")
    database = Database(settings, application="firstlight-backup")
    try:
        with ArchiveWriter(path) as archive:
            with snapshot(database) as seen, ExitStack() as held:
                created_at = datetime.now(UTC)
                left_out = _add_checkpoints(archive, held, Artifacts(settings.home), seen.checkpoints())
                _add_uploads(archive, UploadFolder(settings.data_path))
                tables = seen.write(archive, path.with_name(f".{path.name}.rows"))
            manifest = Manifest(
                format=FORMAT,
                firstlight=_version(),
                database="sqlite" if database.is_sqlite else "postgresql",
                revision=seen.revision,
                created_at=created_at,
                tables=tables,
                members=archive.members,
                left_out=tuple(left_out),
            )
            return Saved(manifest, archive.finish(manifest))
    except DBAPIError as error:
        raise BackupError(f"the database cannot be read, and no backup was made of it: {error.orig}") from error
    finally:
        database.dispose()


def _add_checkpoints(
    archive: ArchiveWriter, held: ExitStack, artifacts: Artifacts, checkpoints: Sequence[Checkpoint]
) -> list[str]:
    """Add the files; returns those that are not there any more, or not whole."""
    opened: dict[str, IO[bytes]] = {}
    left_out: list[str] = []

    def looked_up(checkpoint: Checkpoint) -> IO[bytes] | None:
        name = f"{ARTIFACTS}/{checkpoint.path}"
        try:
            return held.enter_context(artifacts.open(checkpoint.path)) if is_member_name(name) else None
        except (OSError, GoneError):
            return None

    for checkpoint in checkpoints[:MOST_HELD]:
        if (file := looked_up(checkpoint)) is not None:
            opened[checkpoint.path] = file
    for number, checkpoint in enumerate(checkpoints):
        file = opened.get(checkpoint.path) if number < MOST_HELD else looked_up(checkpoint)
        if file is None:
            left_out.append(checkpoint.path)
            continue
        with file:
            # One whose digest is wrong is kept too: a worker finds that out where it is restored, as it does here.
            archive.copy(f"{ARTIFACTS}/{checkpoint.path}", file, compressed=False)
    return left_out


def _add_uploads(archive: ArchiveWriter, uploads: UploadFolder) -> None:
    for table_id in uploads.ids():
        with ExitStack() as held:
            try:
                files = {name: held.enter_context(file) for name, file in uploads.open(table_id).items()}
            except (OSError, NotFoundError, GoneError):
                continue  # deleted meanwhile
            for name, file in files.items():
                archive.copy(f"{UPLOADS}/{table_id}/{name}", file)


def _version() -> str:
    try:
        return version("firstlight")
    except PackageNotFoundError:
        return "0"
