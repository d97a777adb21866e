"""A page of a list that is whole in memory."""

from collections.abc import Sequence
from typing import Any

from fastapi import Request
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.pagination import decode, encode


def page(request: Request, entries: Sequence[dict[str, Any]], limit: int, cursor: str | None) -> Response:
    """The items from the cursor on; its key is the number of items before it."""
    key = decode(cursor, int)
    start = max(0, key[0]) if key else 0
    end = start + limit
    more = encode(end) if end < len(entries) else None
    return with_etag(request, JsonAnswer({"items": entries[start:end], "next_cursor": more}))
