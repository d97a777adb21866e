"""One client's event stream: read what is new, send it, wait for the bell; end after the last event."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.event_hub import Hub
from api.key_ring import KeyRing
from services.accounts.principal import Principal
from services.db.isolation import WorkspaceDatabase

KEEP_ALIVE_SECONDS = 15.0


@dataclass(frozen=True)
class Feed:
    """Which experiment, the last event the client has, and who the client is."""

    experiment_id: str
    after: int
    asker: Principal


class EventStream(StreamingResponse):
    """Server-sent events that hold one of the hub's places until the client or the experiment is gone."""

    def __init__(self, hub: Hub, keys: KeyRing, database: WorkspaceDatabase, feed: Feed) -> None:
        super().__init__(
            _events(hub, keys, database, feed),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
        )
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and give the place back however it ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.release()


async def _events(hub: Hub, keys: KeyRing, database: WorkspaceDatabase, feed: Feed) -> AsyncIterator[bytes]:
    after = feed.after
    yield b"retry: 1000\n\n"
    with hub.subscription(feed.experiment_id) as bell:
        while not hub.closing:
            bell.clear()
            if not await keys.still_opens(feed.asker):
                return  # revoked or expired meanwhile
            batch = await hub.reads.after(database, feed.experiment_id, after)
            after = batch.last
            if batch.content:
                yield batch.content
            if batch.is_over:
                return
            if batch.has_more:
                continue
            try:
                await asyncio.wait_for(bell.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield b": keep-alive\n\n"
