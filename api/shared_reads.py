"""What streams read, read once for all that stand at the same place.

A class that watches one study waits at one event; when that comes, one read and one piece of bytes serve everybody.
Whoever comes late reads the same full batches from the beginning as everyone before: those no longer change, and a few
of them are kept.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import orjson
from starlette.concurrency import run_in_threadpool

from services.db.isolation import WorkspaceDatabase
from services.experiments.timeline import Entry, news

BATCH = 200
"""Most events of one read; a client that comes late gets them in several."""
MOST_BYTES = 16 * 2**20
"""Of full batches that are kept, all together."""

Place = tuple[str, str, int]
"""Workspace, experiment, and the last event that a client has."""


@dataclass(frozen=True)
class Batch:
    """Events as they go over the wire. `last` is the number of the last; the rest is as in `News`."""

    content: bytes
    last: int
    has_more: bool
    is_over: bool


class SharedReads:
    """Lives on the event loop's thread; reads on others."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._under_way: dict[Place, asyncio.Task[Batch]] = {}
        self._full: OrderedDict[Place, Batch] = OrderedDict()
        self._bytes = 0

    async def after(self, database: WorkspaceDatabase, experiment_id: str, last: int) -> Batch:
        """The events after `last`.

        Raises:
            sqlalchemy.exc.DBAPIError: the database does not answer; everyone who waits for this read hears it.
        """
        place = (database.workspace, experiment_id, last)
        if (batch := self._full.get(place)) is not None:
            self._full.move_to_end(place)
            return batch
        task = self._under_way.get(place)
        if task is None:
            task = asyncio.create_task(self._read(database, place))
            task.add_done_callback(_heard)
            self._under_way[place] = task
        return await asyncio.shield(task)  # a client that goes away takes no one's read along

    async def _read(self, database: WorkspaceDatabase, place: Place) -> Batch:
        try:
            batch = await run_in_threadpool(_batch, database, place[1], place[2])
        finally:
            del self._under_way[place]
        if batch.has_more:
            self._keep(place, batch)
        return batch

    def _keep(self, place: Place, batch: Batch) -> None:
        self._full[place] = batch
        self._bytes += len(batch.content)
        while self._bytes > self._most_bytes:
            _, dropped = self._full.popitem(last=False)
            self._bytes -= len(dropped.content)


def _heard(task: asyncio.Task[Batch]) -> None:
    """Everyone who waited may be gone when a read fails; nobody is to complain that no one heard of it."""
    if not task.cancelled():
        task.exception()


def _batch(database: WorkspaceDatabase, experiment_id: str, last: int) -> Batch:
    with database.read() as session:
        read = news(session, experiment_id, last, BATCH)
    content = b"".join(map(_encode, read.entries))
    return Batch(content, read.entries[-1].seq if read.entries else last, read.has_more, read.is_over)


def _encode(entry: Entry) -> bytes:
    """One event on the wire; orjson writes no line breaks, so the data is one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.seq, entry.type.encode(), orjson.dumps(entry.data))
