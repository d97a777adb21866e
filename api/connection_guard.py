"""What stands before the application: bounds on the bytes, the fields and the seconds of a request, and on connections.

uvicorn hands a request over once its head is complete, and neither it nor the parser bounds the head: one endless line
would be copied again with every piece that arrives, before any key is asked for. What is refused here gets a problem
document like any other, and the connection ends.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.envelope import SECURITY_HEADERS
from api.problems import MEDIA_TYPE, problem
from api.sparing_log import sparing

MOST_HEAD_BYTES = 65_536
"""Of the request line and all fields; a URL may hold a thousand names of columns."""
MOST_FIELDS = 100
MOST_PIPELINED = 16
"""Requests sent ahead, before the answer to the first."""
SLICE = 16_384
"""Bytes given to the parser at once: between two slices the bounds are looked at."""
FRAMING = 16
"""Bytes of chunk sizes and extensions for each byte of the body, beyond `MOST_HEAD_BYTES`."""
BYTES_PER_SECOND = 2_000
"""A body that comes at least so fast may take as long as it is large."""
LOOKS = 5
"""How often in the seconds of a body somebody looks at it."""
LINGER_SECONDS = 2.0
LINGER_BYTES = 4 * 2**20
"""How much of a refused request is still read: a close with bytes unread would take the answer back."""
STALLED_SECONDS = 60.0
"""A client that reads nothing of its answer for so long is given up."""


@dataclass(frozen=True)
class Limits:
    """What an operator may set.

    Attributes:
        header_seconds: from the first byte of a request (or the connection) to the end of its head.
        body_seconds: how far a body may lag behind `BYTES_PER_SECOND`.
        connections: open at once.
    """

    header_seconds: float
    body_seconds: float
    connections: int


class _TooLargeError(Exception):
    """Raised inside the parser, which passes it on as an error of its own."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    limits: Limits

    # --- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look for room, and wait for a head."""
        super().connection_made(transport)
        self._ended = False
        self._too_large = ""
        self._discarded = 0
        self._body_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self.waiting_since: float = self.loop.time()
        self._await_head()
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._refuse(503, f"all {self.limits.connections} connections are in use; try again", retry=1)
            return
        self._timer = self.loop.call_later(self.limits.header_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever ended it."""
        self._forget_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Give it to the parser slice by slice."""
        self._unset_keepalive_if_required()
        for start in range(0, len(data), SLICE):
            if self._ended:
                self._discard(len(data) - start)
                return
            self._parse(data[start : start + SLICE])
        if self._timer is None and not self._ended:
            if not self._in_head:
                self._timer = self.loop.call_later(self.limits.body_seconds / LOOKS, self._look_at_body)
            elif self._raw:
                self._timer = self.loop.call_later(self.limits.header_seconds, self._head_is_late)

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._stalled = self._stalled or self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _make_room(self) -> bool:
        """End the connection that has waited longest for a request, if one waits: it is the cheapest to lose."""
        others = [other for other in self.connections if isinstance(other, GuardedProtocol) and other is not self]
        waiting = {other.waiting_since: other for other in others if other.waits}
        if waiting:
            waiting[min(waiting)].transport.abort()
        return bool(waiting)

    @property
    def waits(self) -> bool:
        """Whether nothing but (the rest of) a head is expected here."""
        cycle = self._latest
        answered = cycle is None or cycle.response_complete
        return self._in_head and answered and not self._ended and not self.transport.is_closing()

    @property
    def _latest(self) -> RequestResponseCycle | None:
        """The last request whose head was complete; uvicorn does not say that there may be none yet."""
        return self.cycle

    # --- the parser

    def _parse(self, data: bytes) -> None:
        self._raw += len(data)
        try:
            self.parser.feed_data(data)  # pyright: ignore[reportOptionalMemberAccess]
        except httptools.HttpParserUpgrade:
            pass  # answered as any other request: there is nothing to upgrade to
        except httptools.HttpParserError as error:
            if self._too_large:
                self._refuse(431, self._too_large)
            else:
                self._refuse(400, f"this cannot be read as HTTP/1.1: {str(error)[:100]}")
            return
        if self._in_head and self._raw > MOST_HEAD_BYTES + SLICE:
            self._refuse(431, HEAD_TOO_LARGE)
        elif not self._in_head and self._raw - self._body_bytes > MOST_HEAD_BYTES + SLICE + FRAMING * self._body_bytes:
            self._refuse(400, "the body is all chunk sizes, extensions or trailers")

    def _await_head(self) -> None:
        self._in_head = True
        self._raw = self._head_bytes = self._fields = self._body_bytes = 0

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MOST_HEAD_BYTES:
            self._too_large = HEAD_TOO_LARGE
        elif self._fields > MOST_FIELDS:
            self._too_large = f"a request may have at most {MOST_FIELDS} header fields"
        elif len(self.pipeline) >= MOST_PIPELINED:
            self._too_large = f"at most {MOST_PIPELINED} requests may be sent ahead"
        else:
            return
        raise _TooLargeError

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field. Those behind a body are counted and dropped: the application has the head already."""
        self._fields += 1
        self._count(len(name) + len(value) + 4)
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here: the application begins, and the body is waited for."""
        super().on_headers_complete()
        self._in_head = False
        self._raw = 0
        self._body_since = self.loop.time()
        self._forget_timer()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is here."""
        super().on_message_complete()
        self._await_head()
        self._forget_timer()

    def on_response_complete(self) -> None:
        """Answered: from now on the connection waits."""
        self.waiting_since = self.loop.time()
        super().on_response_complete()

    # --- time

    def _head_is_late(self) -> None:
        self._timer = None
        if not self._raw:  # nothing was asked, so nothing is answered
            self.transport.close()
            return
        self._refuse(408, f"the head of a request has to be here within {self.limits.header_seconds:g} s")

    def _look_at_body(self) -> None:
        """Refuse a body that is slower than it may be. While the application does not read, nobody is late."""
        step = self.limits.body_seconds / LOOKS
        if self.flow.read_paused:
            self._body_since += step
        allowed = self.limits.body_seconds + self._body_bytes / BYTES_PER_SECOND
        if self.loop.time() - self._body_since < allowed:
            self._timer = self.loop.call_later(step, self._look_at_body)
            return
        self._timer = None
        self._refuse(408, f"the body came slower than {BYTES_PER_SECOND} bytes/s for {self.limits.body_seconds:g} s")

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget_timers(self) -> None:
        self._forget_timer()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    # --- the end

    def _refuse(self, status: int, detail: str, retry: int | None = None) -> None:
        """Answer with a problem and end the connection; where an answer is under way already, end after it."""
        self._ended = True
        self._forget_timer()
        sparing.line("request_refused", status=status, why=detail, client=self.client[0] if self.client else None)
        cycle = self._latest
        answered_early = not self._in_head and cycle is not None and cycle.response_complete
        if self.pipeline or answered_early or self.transport.is_closing():
            self.transport.close()
            return
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or not cycle.more_body:
                cycle.keep_alive = False
                return
            cycle.disconnected = True  # what the application says from here on goes nowhere
            cycle.message_event.set()
        request_id = uuid4().hex
        body = orjson.dumps(problem(status, detail, request_id))
        fields = {
            **SECURITY_HEADERS,
            "Content-Type": MEDIA_TYPE,
            "Content-Length": str(len(body)),
            "Connection": "close",
            "X-Request-ID": request_id,
            **({"Retry-After": str(retry)} if retry is not None else {}),
        }
        lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
        self.transport.write(STATUS_LINE[status] + lines.encode() + b"\r\n" + body)
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.transport.abort()


HEAD_TOO_LARGE = f"the address and the header fields together may have at most {MOST_HEAD_BYTES} bytes"


def guarded(limits: Limits) -> type[Any]:
    """The protocol with these limits, for `uvicorn.Config(http=...)`."""
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})
