"""A TCP proxy that a test can make slow, deaf, forgetful or rude, in front of a database or a broker.

    pass        bytes go both ways
    delay       so do they, each piece `seconds` late
    drop        after `drop_after` more bytes from the client its connection is reset, and so is every later one at once
    black_hole  connections are taken, and what they say is read by nobody
    reset       connections are taken and reset

`lose_reply(after, to)` waits for a connection whose client has said `after` and now says `to`, lets that through, waits
until the server has answered, and resets the connection instead of passing that on: the client never hears what became
of its words. `after` may be empty.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Mode = Literal["pass", "delay", "drop", "black_hole", "reset"]
CHUNK = 65536
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: the close is a reset."""


@dataclass
class Proxy:
    """Listens on a port of its own; `upstream` is a port of this machine, or the path of a socket."""

    upstream: int | Path
    mode: Mode = "pass"
    seconds: float = 0.0
    drop_after: int = 0
    port: int = 0
    accepted: int = 0
    lost: int = 0
    _losses: list[tuple[bytes, bytes]] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def lose_reply(self, after: bytes, to: bytes) -> None:
        """See the module; `lost` counts the replies that were."""
        self._losses.append((after, to))

    def cut(self) -> None:
        """Reset every connection that is open now."""
        self._loop.call_soon_threadsafe(lambda: [self._reset(writer) for writer in tuple(self._writers)])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.add(writer)
        try:
            if self.mode == "reset":
                return
            if self.mode == "black_hole":
                await self._sleep_while("black_hole", reader)
                return
            there, back = await self._connect()
            self._writers.add(back)
            try:
                await self._both(reader, writer, there, back)
            finally:
                self._reset(back)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._reset(writer)

    async def _sleep_while(self, mode: Mode, reader: asyncio.StreamReader) -> None:
        """Neither answer nor end before the client does, or before the mode is another."""
        while self.mode == mode and not reader.at_eof():
            try:
                await asyncio.wait_for(reader.read(CHUNK), 0.1)
            except TimeoutError:
                continue

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.upstream, Path):
            return await asyncio.open_unix_connection(str(self.upstream))
        return await asyncio.open_connection("127.0.0.1", self.upstream)

    async def _both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there: asyncio.StreamReader,
        back: asyncio.StreamWriter,
    ) -> None:
        doomed = asyncio.Event()
        ways = {
            asyncio.ensure_future(self._outward(reader, back, doomed)),
            asyncio.ensure_future(self._homeward(there, writer, doomed)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _outward(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        markers: set[bytes] = set()
        while piece := await reader.read(CHUNK):
            if self.mode == "delay":
                await asyncio.sleep(self.seconds)
            if self.mode == "drop":
                self.drop_after -= len(piece)
                if self.drop_after < 0:
                    return
            markers.update(after for after, _ in self._losses if after in piece)
            for loss in [loss for loss in self._losses if loss[0] in markers and loss[1] in piece][:1]:
                self._losses.remove(loss)
                doomed.set()
            if self.mode == "black_hole":
                continue
            back.write(piece)
            await back.drain()

    async def _homeward(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        while piece := await there.read(CHUNK):
            if doomed.is_set():
                self.lost += 1
                return
            if self.mode == "delay":
                await asyncio.sleep(self.seconds)
            writer.write(piece)
            await writer.drain()

    def _reset(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        connection = writer.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_INET and not writer.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        writer.transport.abort()

    def run(self, ready: threading.Event) -> None:
        """The loop of the proxy's thread."""
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        for writer in tuple(self._writers):
            self._reset(writer)
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    def stop(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextmanager
def proxy_to(upstream: int | Path, mode: Mode = "pass") -> Iterator[Proxy]:
    """A proxy that runs in a thread of its own."""
    made = Proxy(upstream, mode)
    ready = threading.Event()
    thread = threading.Thread(target=made.run, args=(ready,), name="proxy", daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield made
    finally:
        made.stop()
        thread.join()
