"""Whether a SQLite file can be worked with, looked at before anything is served from it."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from services.db.unusable import UnusableDatabaseError

LONGEST_SECONDS = 10.0
"""A start does not take longer for the check; a file of many gigabytes is then only looked at in part."""
STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""
HEADER = b"SQLite format 3\0"
WAL_VERSION = (2, 2)
"""Bytes 18 and 19 of a file that was last used with a write-ahead log."""
LOOKS, LOOK_SECONDS = 10, 0.05
WAY_OUT = "restore a backup with `firstlight restore FILE --replace`, which keeps the file aside (docs/operations.md)"


@dataclass(frozen=True)
class Checked:
    """What a check that found nothing has looked at.

    Attributes:
        size: of the file, in bytes.
        seconds: it took.
        whole: whether it came to the end.
    """

    size: int
    seconds: float
    whole: bool


def check(path: Path, seconds: float = LONGEST_SECONDS) -> Checked:
    """Look for damage, for at most about so many seconds; a file that is new or not there is fine.

    Raises:
        UnusableDatabaseError: it is damaged, no database, or was copied without what belongs to it.
    """
    began = time.monotonic()
    size = path.stat().st_size if path.exists() else 0
    if size == 0:
        if _beside(path).exists() and _beside(path).stat().st_size:
            raise UnusableDatabaseError(
                f"{path} is missing or empty, but {path.name}-wal is there: put both back together"
            )
        return Checked(0, 0.0, whole=True)
    with path.open("rb") as file:
        head = file.read(100)
    if not head.startswith(HEADER):
        raise UnusableDatabaseError(f"{path} is no SQLite database: {WAY_OUT}")
    alone = tuple(head[18:20]) == WAL_VERSION and not _beside(path).exists()  # whoever closes it last takes that away
    whole, problem = _quick_check(path, began + seconds)
    if problem is not None:
        raise UnusableDatabaseError(f"{path} is damaged ({problem}): {WAY_OUT}")
    if alone and _stays_empty(path):
        raise UnusableDatabaseError(
            f"{path} was in use and holds nothing: its content is in {path.name}-wal, which was not copied with it. "
            f"Copy both files while no process uses them, or use `firstlight backup`; delete {path} to begin anew"
        )
    return Checked(size, time.monotonic() - began, whole)


def damage(path: Path) -> str | None:
    """What SQLite says is wrong with the file, looked at to its end; None when nothing is."""
    return _quick_check(path, None)[1]


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _quick_check(path: Path, until: float | None) -> tuple[bool, str | None]:
    """Whether the check came to its end, and the first thing it found."""
    try:
        with closing(sqlite3.connect(path, timeout=LONGEST_SECONDS, isolation_level=None)) as connection:
            if until is not None:
                connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
            row = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            return False, None
        if "locked" in str(error) or "busy" in str(error):
            return False, None  # somebody works with it
        return True, str(error)
    except sqlite3.DatabaseError as error:
        return True, str(error)
    return True, None if row[0] == "ok" else str(row[0]).replace("\n", " ")[:300]


def _stays_empty(path: Path) -> bool:
    """Whether it holds nothing, and nobody is just making it: such a start has the first page before the log."""
    for _ in range(LOOKS):
        if _beside(path).exists():
            return False
        with closing(sqlite3.connect(path, timeout=LONGEST_SECONDS, isolation_level=None)) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None:
                return False
        time.sleep(LOOK_SECONDS)
    return True
