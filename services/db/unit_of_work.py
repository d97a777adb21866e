"""One request or one task is one transaction: a session that commits at its end, then calls what waits for it."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

log = structlog.get_logger(__name__)

RETRYABLE_SQLSTATES = ("40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03")
"""PostgreSQL: serialization failure, deadlock, lock timeout, cancelled statement, three kinds of shutdown."""

NOT_UTF8 = "Could not decode to UTF-8"
"""What SQLite's driver says of text that is none."""


class UnitOfWork(Session):
    """A session in one write transaction, with callbacks that run only once the commit has succeeded."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, expire_on_commit=False)
        self._callbacks: list[Callable[[], None]] = []

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` after a successful commit (a doorbell, a file's removal). It must not fail the request."""
        self._callbacks.append(callback)

    def run_callbacks(self) -> None:
        """Run the callbacks in order; one that fails is logged, for the commit has already happened."""
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("after_commit_failed", callback=getattr(callback, "__qualname__", repr(callback)))


@contextmanager
def unit_of_work(engine: Engine) -> Generator[UnitOfWork]:
    """Begin, hand over the session, commit (or roll back when the block raises), then run the callbacks."""
    with UnitOfWork(engine) as session:
        with session.begin():
            session.connection()  # takes the write lock now: SQLite's BEGIN IMMEDIATE must come before the first read
            yield session
        session.run_callbacks()


def is_unreadable(error: BaseException) -> bool:
    """True when what is stored in a row cannot be decoded: text that is no JSON, no UTF-8 or no time.

    Trying again does not mend that, and it is that row's trouble alone.
    """
    if isinstance(error, OperationalError):
        return str(error.orig).startswith(NOT_UTF8)
    return isinstance(error, (ValueError, TypeError, DataError))


def is_transient(error: BaseException) -> bool:
    """True when the same transaction may succeed if it is simply tried again."""
    if isinstance(error, PoolTimeout):
        return True
    if is_unreadable(error):
        return False
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or isinstance(error, OperationalError) or state in RETRYABLE_SQLSTATES
