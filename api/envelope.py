"""The outermost layer around every request: its id, keys, security headers, measurements, and the last catch."""

import hashlib
import hmac
import math
import re
import time
from base64 import b64decode
from collections.abc import Collection, Sequence
from uuid import uuid4

import structlog
from pydantic import SecretStr
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.failed_keys import FailedKeys
from api.problems import ProblemResponse, problem
from api.same_site import refusal
from api.sparing_log import sparing
from api.telemetry import Telemetry

log = structlog.get_logger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPEN_PATHS = ("/healthz", "/readyz", "/docs", "/openapi.json")
"""Paths that need no key: they tell nothing of anybody's work."""
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
KEY_WANTED = "send one of the service's keys as `Authorization: Bearer KEY`"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="firstlight", Basic realm="firstlight"'}
CLIENT_WENT_AWAY = 499
"""What the measurements call a request without an answer; nginx's number."""
MOST_PATH = 200
"""Characters of a path in the log."""


class Envelope:
    """Pure ASGI, so that streams pass through untouched and nothing is buffered."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        api_keys: Sequence[SecretStr],
        allowed_hosts: Collection[str],
        telemetry: Telemetry,
        max_body_bytes: int,
    ) -> None:
        self.app = app
        self.allowed_hosts = allowed_hosts
        self.max_body_bytes = max_body_bytes
        self.telemetry = telemetry
        self.failed_keys = FailedKeys()
        self.digests = [hashlib.sha256(key.get_secret_value().encode()).digest() for key in api_keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; websockets and lifespan pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        echoed = REQUEST_ID.fullmatch(given) and not self._known_key(given.encode())
        request_id = given if echoed else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    out.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                principal = self._principal(scope, headers)
                # A key is something that no page in a browser can send along; without keys, the place has to do.
                refused = None if self.digests else refusal(scope["method"], headers, self.allowed_hosts)
                if principal is None:
                    await self._unauthorized(scope, headers, request_id)(scope, receive, wrapped)
                elif refused is not None:
                    sparing.line("foreign_page", status=refused.status, detail=refused.detail)
                    document = problem(refused.status, refused.detail, request_id)
                    await ProblemResponse(document)(scope, receive, wrapped)
                else:
                    scope["state"]["principal"] = principal
                    await self.app(scope, self._limited(scope, headers, receive), wrapped)
            except ClientDisconnect:  # in the middle of its body: nothing went wrong here, and nobody waits
                status = status or CLIENT_WENT_AWAY
                sparing.line("client_went_away", method=scope["method"], path=scope["path"][:MOST_PATH])
            except Exception:  # whatever it is, the client gets a problem and no trace
                log.exception("request_failed", method=scope["method"], path=scope["path"][:MOST_PATH])
                if status:
                    raise
                document = problem(500, "an unexpected error; the log has it under this request_id", request_id)
                await ProblemResponse(document)(scope, receive, wrapped)
            finally:
                seconds = time.perf_counter() - started
                self.telemetry.observe(scope, status, seconds)
                log.debug(
                    "request",
                    method=scope["method"],
                    path=scope["path"][:MOST_PATH],
                    status=status,
                    seconds=round(seconds, 4),
                )

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

    def _principal(self, scope: Scope, headers: Headers) -> str | None:
        """Who asks: "" on a service without keys or on an open path, a short name of the key, or None."""
        path = scope["path"]
        if not self.digests or path in OPEN_PATHS or path.startswith("/docs/"):
            return ""
        given = _key(headers, read_only=scope["method"] in ("GET", "HEAD"))
        return hashlib.sha256(given).hexdigest()[:12] if self._known_key(given) else None

    def _known_key(self, given: bytes) -> bool:
        digest = hashlib.sha256(given).digest()
        # Every key is compared, so that the time tells nothing about which one nearly matched.
        found = [hmac.compare_digest(digest, known) for known in self.digests]
        return any(found)

    def _unauthorized(self, scope: Scope, headers: Headers, request_id: str) -> ProblemResponse:
        """No key: 401, so that a browser asks. A wrong one is noted too, and after many of them told to wait."""
        if "authorization" not in headers:
            return ProblemResponse(problem(401, KEY_WANTED, request_id), CHALLENGE)
        client = str(scope["client"][0])[:64] if scope.get("client") else "unknown"
        wait = self.failed_keys.count(client)
        sparing.line(
            "wrong_key", client=client, method=scope["method"], path=scope["path"][:MOST_PATH], refused=wait is not None
        )
        if wait is None:
            return ProblemResponse(problem(401, KEY_WANTED, request_id), CHALLENGE)
        seconds = math.ceil(wait)
        detail = f"too many wrong keys from {client}: a right one is served, a wrong one has to wait {seconds} s"
        document = problem(429, detail, request_id, code="too_many_wrong_keys")
        return ProblemResponse(document, {"Retry-After": str(seconds)})


def _key(headers: Headers, *, read_only: bool) -> bytes:
    """The bearer key; for reading also Basic with the key as password, so that a browser can open the dashboard.

    A browser sends Basic credentials along with requests that other sites make it send, hence for reading only.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode()
    if scheme.lower() == "basic" and read_only:
        try:
            return b64decode(value.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""
