"""One moment of a database, read while others go on writing, and written into an archive."""

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from services.backup import postgres
from services.backup.archive import ArchiveWriter
from services.backup.manifest import SQLITE_FILE, BackupError, Table
from services.db import schema
from services.db.database import Database
from services.db.file_check import damage
from services.db.tables import CheckpointRow, CohortRow
from services.states import FINAL


@dataclass(frozen=True)
class Checkpoint:
    """A file that a row names."""

    path: str
    sha256: str


class Snapshot:
    """A transaction that sees one moment, however long it lasts."""

    def __init__(self, connection: Connection, *, is_sqlite: bool) -> None:
        self._connection = connection
        self._is_sqlite = is_sqlite
        revision = schema.current(connection)  # the first statement: the moment is now
        if revision is None:
            raise BackupError("the database has no schema yet: there is nothing to back up")
        if not schema.is_known(revision):
            raise BackupError(
                f"the database stands at schema {revision}, and this version knows schemas up to {schema.latest()}: "
                "back it up with the version that upgraded it"
            )
        self.revision = revision

    def checkpoints(self) -> list[Checkpoint]:
        """The files from which cohorts that are not final may resume, the newest of each cohort first."""
        query = (
            select(CheckpointRow.path, CheckpointRow.sha256)
            .join(CohortRow, CohortRow.id == CheckpointRow.cohort_id)
            .where(CohortRow.state.not_in(FINAL))
            .order_by(CheckpointRow.epoch.desc())
        )
        files = {row.path: Checkpoint(row.path, row.sha256) for row in self._connection.execute(query)}
        return list(files.values())

    def write(self, archive: ArchiveWriter, scratch: Path) -> dict[str, Table]:
        """Write every row into the archive; `scratch` is a name for a file that may be used meanwhile.

        Returns:
            PostgreSQL's tables; none for SQLite, whose file is written as it is.
        """
        if not self._is_sqlite:
            return postgres.copy_out(self._connection, archive)
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        _write_sqlite(driver, archive, scratch)
        return {}


@contextmanager
def snapshot(database: Database) -> Generator[Snapshot]:
    """A snapshot of the present moment."""
    if database.is_sqlite:
        with database.read_engine.connect() as connection:
            yield Snapshot(connection, is_sqlite=True)
        return
    engine = database.unhurried_engine()
    try:
        reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with reading.connect() as connection:
            yield Snapshot(connection, is_sqlite=False)
    finally:
        engine.dispose()


def _write_sqlite(source: sqlite3.Connection, archive: ArchiveWriter, scratch: Path) -> None:
    """SQLite's own online copy; it reads in the transaction that `source` is in, and writers go on beside it."""
    try:
        scratch.unlink(missing_ok=True)
        scratch.touch(mode=0o600)
        with closing(sqlite3.connect(scratch)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file alone, complete
        if (problem := damage(scratch)) is not None:
            raise BackupError(f"the database is damaged, and no backup was made of it: {problem}")
        with scratch.open("rb") as file:
            archive.copy(SQLITE_FILE, file)
    except sqlite3.DatabaseError as error:
        raise BackupError(f"the database cannot be read, and no backup was made of it: {error}") from error
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            scratch.with_name(scratch.name + suffix).unlink(missing_ok=True)
