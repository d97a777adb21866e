"""The database of one process: a write engine, a read engine, the clock and the upgrade.

SQLite: WAL, `BEGIN IMMEDIATE` for writers (a deferred transaction that turns into a write fails at once under WAL, and
no busy timeout helps), a single writing connection per process and one beside it for leases, and a separate read-only
engine, so that readers never queue for the write lock. `synchronous=FULL`: what was answered with 202 survives a power
cut.

PostgreSQL: psycopg 3, a small pool, and a timeout on everything.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import orjson
import structlog
from sqlalchemy import URL, Engine, create_engine, event, make_url, select
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, NullPool
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential

from services.db import file_check, schema
from services.db.clock import CLOCK
from services.db.unit_of_work import UnitOfWork, is_transient, unit_of_work
from services.errors import StoredUnreadableError
from services.settings import Settings

BUSY_SECONDS = 10.0
TELL_CHECK_SECONDS = 1.0
"""A check of the file that takes longer is told in the log."""
TRANSACT_SECONDS = 10.0
"""After so long no other try of a transaction begins: somebody waits for the answer, and each may take as long."""
WAL_ATTEMPTS = 100
POOL_SIZE = 8
POSTGRES_OPTIONS = (
    "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000"
)

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


class Database:
    """Everything a process does with its database goes through one such object, made by its composition root."""

    def __init__(self, settings: Settings, *, application: str = "firstlight") -> None:
        self.url = database_url(settings.database)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.write_engine = _sqlite_engine(self.url, write=True) if self.is_sqlite else _postgres(self.url, application)
        self.read_engine = (
            _sqlite_engine(self.url, write=False)
            if self.is_sqlite
            else self.write_engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        )
        self.lease_engine = _sqlite_engine(self.url, write=True) if self.is_sqlite else _postgres(self.url, application)
        self._watch: sqlite3.Connection | None = None
        self._watch_lock = threading.Lock()

    def write(self) -> AbstractContextManager[UnitOfWork]:
        """A session in one write transaction: commits at the end of the block, rolls back when it raises."""
        return unit_of_work(self.write_engine)

    def write_lease(self) -> AbstractContextManager[UnitOfWork]:
        """As `write`, on a connection of its own: a lease does not stand in line behind this process's commits."""
        return unit_of_work(self.lease_engine)

    def transact(self, work: Callable[[UnitOfWork], Result], *, attempts: int = 5) -> Result:
        """Run `work` in a write transaction; try again for a while after deadlocks, lost connections, lock timeouts.

        `work` must be safe to run again from the start: it sees a fresh session each time.
        """
        for attempt in Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(attempts) | stop_after_delay(TRANSACT_SECONDS),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            reraise=True,
        ):
            with attempt, self.write() as session:
                return work(session)
        raise AssertionError("unreachable: Retrying either returns or raises")

    @property
    def path(self) -> Path:
        """The file of a SQLite database."""
        assert self.is_sqlite
        return _path(self.url)

    @contextmanager
    def read(self) -> Generator[Session]:
        """A session that sees one consistent snapshot and cannot write."""
        with Session(self.read_engine, expire_on_commit=False) as session:
            yield session

    def now(self) -> float:
        """Seconds since 1970 by the database's clock."""
        with self.read() as session:
            return session.execute(select(CLOCK)).scalar_one()

    def data_version(self) -> int | None:
        """On SQLite a number that changes whenever anybody committed (6 µs to ask); None on PostgreSQL."""
        if not self.is_sqlite:
            return None
        with self._watch_lock:
            if self._watch is None:
                self._watch = sqlite3.connect(_path(self.url), timeout=BUSY_SECONDS, check_same_thread=False)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def unhurried_engine(self) -> Engine:
        """An engine whose statements may take as long as they need, without foreign keys on SQLite; dispose of it."""
        return _migration_engine(self.url)

    def upgrade(self, revision: str = "head") -> None:
        """Bring the schema to `revision`; two processes that start at once wait for one another.

        Raises:
            UnusableDatabaseError: a newer version has upgraded it, or its SQLite file is damaged or not complete.
        """
        if self.is_sqlite:
            self._check_file()
        engine = _migration_engine(self.url)
        try:
            schema.upgrade(engine, revision)
        finally:
            engine.dispose()

    def _check_file(self) -> None:
        checked = file_check.check(self.path)
        if checked.seconds >= TELL_CHECK_SECONDS:
            log.info("database_checked", **vars(checked), file=str(self.path))

    def schema_problem(self) -> str | None:
        """What keeps this code from working with this database, in a sentence; None when nothing does.

        A newer schema is no problem: migrations only add what older code does not look at, and remove it later.
        """
        with self.read_engine.connect() as connection:
            revision = schema.current(connection)
        if revision is None:
            return "the database has no schema yet: run `python -P -m migrations` first"
        if schema.is_older(revision):
            return (
                f"the database stands at schema {revision}, this version needs {schema.latest()}: "
                "run `python -P -m migrations` first"
            )
        return None

    def dispose(self) -> None:
        """Close every connection; one that is in use at this moment is closed when it is given back."""
        with self._watch_lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        for engine in (self.read_engine, self.write_engine, self.lease_engine):
            late = engine.pool
            engine.dispose()
            event.listen(late, "checkin", _close_late)


def _close_late(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
    # Its pool is gone, and nobody else would close it.
    record.invalidate()


def database_url(text: str) -> URL:
    """Read a database URL; a bare ``postgresql://`` or ``postgres://`` means psycopg 3.

    Raises:
        ValueError: neither SQLite in a file nor PostgreSQL.
    """
    url = make_url(text.replace("postgres://", "postgresql://", 1))
    backend = url.get_backend_name()
    if backend == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and url.database and url.database != ":memory:":
        return url.set(drivername="sqlite+pysqlite")
    safe_url = url.render_as_string(hide_password=True)
    raise ValueError(f"database_url {safe_url!r} is not usable: give sqlite:///FILE or postgresql://USER@HOST/NAME")


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _loads(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise StoredUnreadableError(f"a stored row holds what is no JSON: {error}") from error


# orjson also turns a NaN that slipped through into null: no JSON that was stored from here is unreadable.
_JSON: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": _loads}


def _path(url: URL) -> Path:
    return Path(url.database or "")


def _make_private(url: URL) -> None:
    """Make folder and file for their owner alone, where there is none yet; SQLite would let everybody read it."""
    path = _path(url)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
        with suppress(OSError):  # SQLite says better than we could why it cannot open it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _sqlite_engine(url: URL, *, write: bool) -> Engine:
    _make_private(url)
    # One writing connection: threads of this process queue here, in order, instead of polling the file's lock.
    size = 1 if write else POOL_SIZE
    engine = create_engine(url, pool_size=size, max_overflow=0 if write else POOL_SIZE, pool_timeout=30.0, **_JSON)
    _prepare_sqlite(engine, query_only=not write, foreign_keys=True)
    return engine


def _prepare_sqlite(engine: Engine, *, query_only: bool, foreign_keys: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver keeps its hands off: BEGIN is ours
        connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        connection.execute(f"PRAGMA query_only={'ON' if query_only else 'OFF'}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN" if query_only else "BEGIN IMMEDIATE")


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL. The very first switch of a new file needs its lock, and the busy timeout does not cover that."""
    for _ in range(WAL_ATTEMPTS):
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            time.sleep(0.05)
            continue
        if mode != "wal":
            raise RuntimeError(
                f"SQLite answers journal_mode={mode}: its folder cannot hold a WAL (a network file system?)"
            )
        return
    raise RuntimeError("the SQLite file stayed locked while it was switched to WAL")


def _postgres(url: URL, application: str) -> Engine:
    return create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=5.0,
        pool_pre_ping=True,
        **_JSON,
        connect_args={"connect_timeout": 5, "options": POSTGRES_OPTIONS, "application_name": application},
    )


def _migration_engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        options = "-c timezone=UTC -c lock_timeout=120000"
        return create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5, "options": options})
    _make_private(url)
    engine = create_engine(url, poolclass=NullPool)
    # A table that SQLite rebuilds is dropped on the way; with foreign keys on, that would delete its children.
    _prepare_sqlite(engine, query_only=False, foreign_keys=False)
    return engine
