"""Request bodies: strict JSON, and nothing but JSON.

The standard library's parser takes NaN, Infinity and numbers that overflow to infinity; orjson refuses all of them, and
a nesting deeper than about a thousand. A spec with an infinite learning rate must never get in as a number.
"""

from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

import orjson
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

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
            return await handle(parsed)

        return strict


def _is_json(content_type: str | None) -> bool:
    if content_type is None:
        return False
    message = Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))
