"""The outermost layer around every request: its id, the gate, security headers, measurements, and the last catch."""

import re
import time
from contextlib import AbstractContextManager, nullcontext
from uuid import uuid4

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import database_away
from api.gate import Admission, Gate
from api.problems import ProblemResponse, problem
from api.sparing_log import sparing
from api.telemetry import Telemetry
from services.traces import NOTHING, Span, Traces

log = structlog.get_logger(__name__)

EXPERIMENT_ID = re.compile(r"exp_[0-9a-f]{32}")
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
UPLOAD_PATHS = ("/v1/datasets",)
UPLOAD_BYTES = 512 * 2**20
"""Largest body where a table may be uploaded."""
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Sent unless the route set its own value."""
CLIENT_WENT_AWAY = 499
"""What the measurements call a request without an answer; nginx's number."""
MOST_PATH = 200
"""Characters of a path in the log."""


class Envelope:
    """Pure ASGI, so that streams pass through untouched and nothing is buffered."""

    def __init__(self, app: ASGIApp, *, gate: Gate, telemetry: Telemetry, traces: Traces, max_body_bytes: int) -> None:
        self.app = app
        self.gate = gate
        self.traces = traces
        self.max_body_bytes = max_body_bytes
        self.telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; websockets and lifespan pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = scope.setdefault("state", {})["request_id"] = self._request_id(headers)
        started = time.perf_counter()
        status = 0
        admission = Admission()
        ids: dict[str, str] = {}

        async def wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                ids.update(_experiment(out.get("location", "").rsplit("/", 1)[-1]))
                # Before the client knows: whoever reads the audit log then finds it there.
                self.gate.note(admission, scope, status, out.get("location"))
                out["X-Request-ID"] = request_id
                out.update(admission.headers)
                for name, value in SECURITY_HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id), self._span(scope, headers) as span:
            try:
                admission = await self._admission(scope, headers)
                ids.update(_named(admission))
                with structlog.contextvars.bound_contextvars(**ids):
                    if admission.refusal is not None:
                        await admission.refusal(scope, receive, wrapped)
                    else:
                        scope["state"]["principal"] = admission.principal
                        scope["state"]["declared_route"] = admission.route
                        await self.app(scope, self._limited(scope, headers, receive), wrapped)
            except ClientDisconnect:  # in the middle of its body: nothing went wrong here, and nobody waits
                status = status or CLIENT_WENT_AWAY
                sparing.line("client_went_away", method=scope["method"], path=scope["path"][:MOST_PATH])
            except Exception:  # whatever it is, the client gets a problem and no trace
                log.exception("request_failed", method=scope["method"], path=scope["path"][:MOST_PATH], **ids)
                if status:
                    raise
                document = problem(500, "an unexpected error; the log has it under this request_id", request_id)
                await ProblemResponse(document)(scope, receive, wrapped)
            finally:
                seconds = time.perf_counter() - started
                self.telemetry.observe(scope, status, seconds)
                span.answer(scope["method"], scope["state"].get("route_template", "unmatched"), status)
                span.note(**ids)
                log.debug(
                    "request",
                    method=scope["method"],
                    path=scope["path"][:MOST_PATH],
                    status=status,
                    seconds=round(seconds, 4),
                    **ids,
                )

    def _request_id(self, headers: Headers) -> str:
        """The client's own where it is fit to be repeated, else a new one."""
        header = headers.get("x-request-id", "")
        echoed = REQUEST_ID.fullmatch(header) and not self.gate.keys.is_configured(header.encode())
        return header if echoed else uuid4().hex

    def _span(self, scope: Scope, headers: Headers) -> AbstractContextManager[Span]:
        """That of a request to the interface; an event stream lasts as long as somebody listens, and has none."""
        if not scope["path"].startswith("/v1/") or scope["path"].endswith("/events"):
            return nullcontext(NOTHING)
        request_id = scope["state"]["request_id"]
        return self.traces.span("request", parent=headers.get("traceparent"), kind="server", request_id=request_id)

    async def _admission(self, scope: Scope, headers: Headers) -> Admission:
        try:
            return await self.gate.admit(scope, headers)
        except (OperationalError, InterfaceError, PoolTimeout) as error:  # the key could not be looked up
            return Admission(refusal=database_away(error, scope["state"]["request_id"]))

    def _limited(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Read no more than the path allows, whether the length is announced, wrong, or not said at all.

        The exception surfaces where the route reads its body and becomes a 413 there; a body that nobody reads costs
        nothing.
        """
        most = UPLOAD_BYTES if scope["path"] in UPLOAD_PATHS else self.max_body_bytes
        announced = headers.get("content-length", "")
        seen = int(announced) if announced.isdigit() and len(announced) < 20 else 0
        too_large = HTTPException(413, f"the body may have at most {most} bytes")

        read = 0

        async def limited() -> Message:
            nonlocal read
            if seen > most:
                raise too_large
            message = await receive()
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                if read > most:
                    raise too_large
            return message

        return limited


def _named(admission: Admission) -> dict[str, str]:
    """For the log: the key's public id, and the experiment that the address names, where there are such."""
    key = {"key_id": admission.key_id} if admission.key_id else {}
    return {**key, **_experiment(admission.matched.values.get("experiment_id", "") if admission.matched else "")}


def _experiment(name: str) -> dict[str, str]:
    return {"experiment_id": name} if EXPERIMENT_ID.fullmatch(name) else {}
