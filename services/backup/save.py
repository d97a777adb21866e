"""Make a backup while the service runs: one moment of the database, and the files that its rows name."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from sqlalchemy.exc import DBAPIError

from services.artifacts.chosen import artifacts_of
from services.artifacts.interface import Artifacts, StoreUnreachableError, StoreUnusableError
from services.backup.archive import ArchiveWriter
from services.backup.manifest import ARTIFACTS, FORMAT, BackupError, Manifest, is_member_name
from services.backup.snapshot import Checkpoint, snapshot
from services.datasets.folder import UploadFolder
from services.datasets.shared import SharedUploads
from services.db.database import Database, database_url
from services.errors import GoneError, NotFoundError
from services.science.datasets.upload import UPLOADS
from services.settings import Settings

LOOKS = 5
"""A checkpoint may be tidied away between the moment and the look for its file: then another moment is taken."""
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
        artifacts = artifacts_of(settings)
        shared = SharedUploads(settings.data_path, artifacts) if settings.shares_uploads else None
        with ArchiveWriter(path) as archive:
            for look in range(1, LOOKS + 1):
                with snapshot(database) as seen, ExitStack() as held:
                    created_at, checkpoints = datetime.now(UTC), seen.checkpoints()
                    opened = _opened(held, artifacts, checkpoints[:MOST_HELD])
                    if len(opened) < len(checkpoints[:MOST_HELD]) and look < LOOKS:
                        continue
                    left_out = _add_checkpoints(archive, opened, artifacts, checkpoints)
                    _add_uploads(archive, UploadFolder(settings.data_path), shared)
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
            raise AssertionError("unreachable: the last look is taken as it is")
    except DBAPIError as error:
        raise BackupError(f"the database cannot be read, and no backup was made of it: {error.orig}") from error
    except (StoreUnreachableError, StoreUnusableError) as error:
        raise BackupError(f"the artifacts cannot be read, and no backup was made: {error}") from error
    finally:
        database.dispose()


def _open(artifacts: Artifacts, checkpoint: Checkpoint) -> IO[bytes] | None:
    """The file, or None where it is not there, or no attempt of ours can have named it."""
    if not is_member_name(f"{ARTIFACTS}/{checkpoint.path}"):
        return None
    try:
        return artifacts.open(checkpoint.path)
    except StoreUnreachableError:
        raise
    except (OSError, GoneError):
        return None


def _opened(held: ExitStack, artifacts: Artifacts, checkpoints: Sequence[Checkpoint]) -> dict[str, IO[bytes]]:
    """The files that are there, by their paths; they are closed with `held`."""
    files: dict[str, IO[bytes]] = {}
    for checkpoint in checkpoints:
        if (file := _open(artifacts, checkpoint)) is not None:
            files[checkpoint.path] = held.enter_context(file)
    return files


def _add_checkpoints(
    archive: ArchiveWriter, opened: Mapping[str, IO[bytes]], artifacts: Artifacts, checkpoints: Sequence[Checkpoint]
) -> list[str]:
    """Add the files, the first of which are open already; returns those that are not there."""
    left_out: list[str] = []
    for number, checkpoint in enumerate(checkpoints):
        file = opened.get(checkpoint.path) if number < MOST_HELD else _open(artifacts, checkpoint)
        if file is None:
            left_out.append(checkpoint.path)
            continue
        with file:
            # One whose digest is wrong is kept too: a worker finds that out where it is restored, as it does here.
            archive.copy(f"{ARTIFACTS}/{checkpoint.path}", file, compressed=False)
    return left_out


def _add_uploads(archive: ArchiveWriter, uploads: UploadFolder, shared: SharedUploads | None) -> None:
    for table_id in uploads.ids() if shared is None else sorted(shared.ids()):
        if shared is not None and not shared.settle(table_id):
            continue
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
