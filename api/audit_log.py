"""What the process has to write down beside its requests: lines of the audit log, and the last uses of keys.

Lines wait in memory for a moment and are written together, so that a change does not wait for a second commit. A
process that is killed in that moment loses them; the changes themselves are in the database.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from api.sparing_log import sparing
from services.accounts.audit import Deed, forget_deeds, write_deeds
from services.db.database import Database

log = structlog.get_logger(__name__)

WRITE_SECONDS = 0.5
FORGET_SECONDS = 600.0
MOST_WAITING = 10_000
"""Lines; while the database is away the oldest are dropped, and the log says how many."""


class AuditLog:
    """The audit log of one API process.

    Args:
        database: the service's own.
        days: how long lines are kept.
        beside: further work to do as often as lines are written.
    """

    def __init__(self, database: Database, days: float, beside: Callable[[], None]) -> None:
        self._database = database
        self._days = days
        self._beside = beside
        self._waiting: deque[Deed] = deque()
        self._dropped = 0
        self._writing = threading.Lock()
        self._forgot = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.get_running_loop().create_task(self._write_for_ever())

    async def stop(self) -> None:
        """Write what waits, and stop."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await run_in_threadpool(self._write_all)

    def note(self, deed: Deed) -> None:
        """Have a line written soon."""
        while len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(deed)

    def flush(self) -> None:
        """Write what waits, now: whoever reads the log sees what this process did before.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database does not take it; the lines go on waiting.
        """
        with self._writing:
            deeds: list[Deed] = []
            while self._waiting:
                deeds.append(self._waiting.popleft())
            try:
                if deeds:
                    with self._database.write() as session:
                        write_deeds(session, deeds)
            except BaseException:
                self._waiting.extendleft(reversed(deeds))
                raise
            if self._dropped:
                log.warning("audit_lines_lost", lines=self._dropped)
                self._dropped = 0

    def _write_all(self) -> None:
        for work in (self.flush, self._beside, self._forget):
            try:
                work()
            except SQLAlchemyError as error:
                sparing.line("audit_waits", error=type(error).__name__, lines=len(self._waiting))

    def _forget(self) -> None:
        if time.monotonic() - self._forgot < FORGET_SECONDS:
            return
        with self._database.write() as session:
            more = forget_deeds(session, self._days)
        if not more:
            self._forgot = time.monotonic()

    async def _write_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await run_in_threadpool(self._write_all)
