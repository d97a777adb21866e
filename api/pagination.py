"""Pages: `items`, and an opaque cursor to the next page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import orjson
from fastapi import Query
from pydantic import AfterValidator, BaseModel, Field

from services.errors import FieldProblem, InvalidInputError
from services.instants import in_utc

MAX_LIMIT = 1_000
LARGEST = 2**53
"""What a cursor of ours counts is smaller; what SQLite stores ends at 2^63."""
Item = TypeVar("Item")

Limit = Annotated[
    int,
    Query(ge=1, description=f"Most items of one page; larger values mean {MAX_LIMIT}."),
    AfterValidator(lambda value: min(value, MAX_LIMIT)),
]
Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]


class Page(BaseModel, Generic[Item]):
    """Some items, and where to go on."""

    items: list[Item]
    next_cursor: str | None = Field(None, description="Give it as `cursor` for the next page; null at the end.")


def encode(*key: Any) -> str:
    """Make a cursor of the sort key of a page's last item."""
    parts = [part.isoformat() if isinstance(part, datetime) else part for part in key]
    return urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def decode(cursor: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """Read a cursor back; each part must be of its kind.

    Raises:
        InvalidInputError: it is not one of ours.
    """
    if cursor is None:
        return None
    try:
        parts = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise ValueError
        return tuple(_part(part, kind) for part, kind in zip(parts, kinds, strict=True))
    except ValueError:
        message = "is not a cursor of this list; take it from `next_cursor` and leave it as it is"
        raise InvalidInputError(f"cursor: {message}", [FieldProblem("cursor", message)]) from None


def _part(part: Any, kind: type) -> Any:
    if kind is datetime and isinstance(part, str):
        moment = datetime.fromisoformat(part)
        if moment.tzinfo is None:
            raise ValueError
        return in_utc(moment)
    unfit = (isinstance(part, int) and abs(part) > LARGEST) or (isinstance(part, str) and "\0" in part)
    if type(part) is not kind or unfit:
        raise ValueError
    return part
