"""Request bodies: strict JSON, and nothing but JSON.

The standard library's parser takes NaN, Infinity and numbers that overflow to infinity; orjson refuses all of them, and
a nesting deeper than about a thousand. A spec with an infinite learning rate must never get in as a number. Both take
the last of two fields with one name, which two readers may understand differently: that is refused here.
"""

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

import orjson
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.body_bounds import check_bounds, pointer_of, steps_of
from services.errors import FieldProblem, InvalidInputError

SMALL_BYTES = 65_536
"""Up to here a body is looked through where it is read; a larger one on a thread, so that nobody else waits."""
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRequest(Request):
    """A request whose JSON is parsed strictly, once."""

    async def json(self) -> Any:
        """The parsed body.

        Raises:
            json.JSONDecodeError: not JSON; its message says where.
        """
        if not hasattr(self, "_json"):
            self._json = orjson.loads(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads its body strictly and refuses other media types before anything else."""

    def get_route_handler(self) -> Handler:
        """Wrap the route's own handler."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            request.state.route_template = self.path_format
            if "\0" in request.url.path or b"%00" in request.scope["query_string"]:
                raise HTTPException(400, "the address holds a NUL character, which no name here can have")
            parsed = StrictRequest(request.scope, request.receive)
            if takes_body and not _is_json(request.headers.get("content-type")) and await parsed.body():
                raise HTTPException(415, "send the body as application/json")
            # PostgreSQL stores no NUL in text or JSON. The escape is looked for as it is written: cheap, and a body
            # that means the six characters themselves loses nothing worth having.
            if takes_body and b"\\u0000" in await parsed.body():
                raise HTTPException(422, "the body holds a NUL character (\\u0000), which no text here can have")
            if takes_body and await parsed.body():
                await _check(parsed)
            return await handle(parsed)

        return strict


async def _check(request: StrictRequest) -> None:
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return  # FastAPI finds the same, and answers it
    text = await request.body()
    if len(text) < SMALL_BYTES:
        _check_parsed(body, text)
    else:
        await run_in_threadpool(_check_parsed, body, text)


def _check_parsed(body: Any, text: bytes) -> None:
    check_bounds(body)
    pointer = doubled(text)
    if pointer is not None:
        message = "stands twice; give it once"
        raise InvalidInputError(f"{pointer}: {message}", [FieldProblem(pointer, message)])


class _Doubled(dict[str, Any]):
    """An object in which `name` stood twice."""

    name: str


def doubled(text: bytes) -> str | None:
    """The pointer to a field that stands twice in its object, if there is one; the text is valid JSON."""
    repeated = False

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        plain = dict(pairs)
        if len(plain) == len(pairs):
            return plain
        repeated = True
        marked = _Doubled(plain)
        seen: set[str] = set()
        marked.name = next(name for name, _ in pairs if name in seen or seen.add(name))
        return marked

    root = json.loads(text, object_pairs_hook=collect, parse_int=len)
    if not repeated:
        return None
    waiting: list[tuple[Any, Any]] = [(root, None)]
    while waiting:
        here, way = waiting.pop()
        if isinstance(here, _Doubled):
            return pointer_of((here.name, way))
        if isinstance(here, dict | list):
            waiting += [(value, (step, way)) for step, value in steps_of(here)]
    raise AssertionError("what was doubled and then overwritten stands in an object that is doubled too")


def _is_json(content_type: str | None) -> bool:
    if content_type is None:
        return False
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
