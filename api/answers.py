"""JSON answers written by orjson: fast, and NaN or infinity can only come out as null."""

import hashlib
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response


class JsonAnswer(Response):
    """A JSON body from plain values, dataclasses and NumPy arrays."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Serialize."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def with_etag(request: Request, response: Response, tag: str | None = None) -> Response:
    """Add an ETag, of the body unless one is given; answer 304 when the client has it already."""
    tag = tag or hashlib.sha256(bytes(response.body)).hexdigest()[:32]
    unchanged = not_modified(request, tag)
    if unchanged is not None:
        return unchanged
    response.headers.update(_validator(tag))
    return response


def not_modified(request: Request, tag: str) -> Response | None:
    """The 304 for a client that has this ETag already, before anything is made for it; else None."""
    tags = [item.strip().removeprefix("W/") for item in request.headers.get("if-none-match", "").split(",")]
    return Response(status_code=304, headers=_validator(tag)) if f'"{tag}"' in tags or "*" in tags else None


def _validator(tag: str) -> dict[str, str]:
    return {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
