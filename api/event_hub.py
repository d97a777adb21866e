"""One watcher for all event streams of a process: it looks for new events, and wakes the streams they belong to.

A waiting stream costs a coroutine, no thread and no database connection, and those at the same place share their reads.
On SQLite one PRAGMA tells that anybody committed anything; on PostgreSQL one small query every quarter of a second asks
for the sequence numbers of the experiments that are being watched.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager, suppress

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.shared_reads import SharedReads
from services.db.database import Database
from services.db.tables import ExperimentRow
from services.errors import BusyError

log = structlog.get_logger(__name__)

SQLITE_SECONDS = 0.03
POSTGRES_SECONDS = 0.25
LONGEST_SECONDS = 2.0
"""Even without a sign of news, look this often."""


class Hub:
    """Counts the streams, watches for news and passes it on. Lives on the event loop's thread."""

    def __init__(self, database: Database, max_streams: int) -> None:
        self._database = database
        self._max_streams = max_streams
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._known: dict[str, int] = {}
        self._somebody = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._look: asyncio.Future[dict[str, int]] | None = None
        self.reads = SharedReads()
        self.open = 0
        self.closing = False

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching. A look at the database that is under way ends first, for its thread cannot be cancelled."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._look is not None:
            await asyncio.wait([self._look])

    def close(self) -> None:
        """End every stream: the process is about to stop. Clients come back with Last-Event-ID."""
        self.closing = True
        for bells in self._waiting.values():
            for bell in bells:
                bell.set()

    def reserve(self) -> None:
        """Take one of the streams' places.

        Raises:
            BusyError: all are taken.
        """
        if self.closing or self.open >= self._max_streams:
            raise BusyError(f"all {self._max_streams} event streams are in use; try again later", retry_after=5)
        self.open += 1

    def release(self) -> None:
        """Give the place back."""
        self.open -= 1

    @contextmanager
    def subscription(self, experiment_id: str) -> Generator[asyncio.Event]:
        """An event that is set whenever the experiment may have news."""
        bell = asyncio.Event()
        self._waiting[experiment_id].add(bell)
        self._somebody.set()
        try:
            yield bell
        finally:
            bells = self._waiting[experiment_id]
            bells.discard(bell)
            if not bells:
                del self._waiting[experiment_id]
                self._known.pop(experiment_id, None)
            if not self._waiting:
                self._somebody.clear()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        version: int | None = None
        looked = 0.0
        while True:
            await self._somebody.wait()
            await asyncio.sleep(SQLITE_SECONDS if self._database.is_sqlite else POSTGRES_SECONDS)
            try:
                latest = self._database.data_version()
                if latest is not None and latest == version and loop.time() - looked < LONGEST_SECONDS:
                    continue
                version, looked = latest, loop.time()
                self._look = asyncio.ensure_future(run_in_threadpool(self._sequences, list(self._waiting)))
                self._ring(await asyncio.shield(self._look))
            except (SQLAlchemyError, sqlite3.Error) as error:
                log.warning("event_watch_failed", error=type(error).__name__)
                await asyncio.sleep(LONGEST_SECONDS)

    def _sequences(self, ids: list[str]) -> dict[str, int]:
        with self._database.read() as session:
            query = select(ExperimentRow.id, ExperimentRow.event_seq).where(ExperimentRow.id.in_(ids))
            numbers: dict[str, int] = {row[0]: row[1] for row in session.execute(query)}
        return {experiment_id: numbers.get(experiment_id, -1) for experiment_id in ids}

    def _ring(self, sequences: dict[str, int]) -> None:
        for experiment_id, seq in sequences.items():
            if self._known.get(experiment_id) != seq and experiment_id in self._waiting:
                self._known[experiment_id] = seq
                for bell in self._waiting[experiment_id]:
                    bell.set()
