"""Every error as `application/problem+json` (RFC 9457): one shape, one table from error class to status."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel, Field
from starlette.responses import Response

from services import errors
from services.errors import FieldProblem
from services.field_problems import MOST_PROBLEMS, left_out

MOST_TEXT = 4_000
"""Characters of one sentence or pointer."""
MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[errors.FirstlightError], int] = {
    errors.NotFoundError: 404,
    errors.ConflictError: 409,
    errors.InvalidInputError: 422,
    errors.SpecInvalidError: 422,
    errors.GridTooLargeError: 422,
    errors.IdempotencyMismatchError: 422,
    errors.DatasetUnavailableError: 422,
    errors.DatasetInvalidError: 422,
    errors.GoneError: 410,
    errors.StoredUnreadableError: 500,
    errors.BusyError: 429,
    errors.WorkspaceFullError: 429,
    errors.UnavailableError: 503,
    errors.QueueFullError: 503,
}
"""The status of each error class; `tests/api/test_problems.py` checks that none is missing."""

TITLES: dict[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be read"),
    401: ("unauthorized", "A valid key is needed"),
    403: ("forbidden", "This must not be done"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "The method is not allowed here"),
    406: ("not_acceptable", "None of the accepted media types can be served"),
    408: ("request_too_slow", "The request came too slowly"),
    413: ("body_too_large", "The request body is too large"),
    415: ("unsupported_media_type", "The request body must be JSON"),
    421: ("foreign_host", "The service is not served under this name"),
    422: ("invalid_input", "The request cannot be carried out"),
    429: ("too_busy", "A limit is reached"),
    431: ("head_too_large", "The head of the request is too large"),
    500: ("internal_error", "Something went wrong"),
    503: ("unavailable", "Temporarily unavailable"),
}
"""Code and title of problems that no error class of ours stands for."""


class ProblemField(BaseModel):
    """One thing wrong with one place of the input."""

    pointer: str = Field(description="RFC 6901 pointer into the body, or the name of the query parameter or header.")
    message: str


class Problem(BaseModel):
    """What went wrong, for programs (`code`) and for people (`detail`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="Stable name of the problem.")
    request_id: str
    errors: list[ProblemField] = Field(default_factory=list)


def problem(
    status: int,
    detail: str,
    request_id: str,
    *,
    code: str | None = None,
    title: str | None = None,
    fields: Sequence[FieldProblem] = (),
) -> dict[str, Any]:
    """The document itself; code and title default to those of the status."""
    if len(fields) > MOST_PROBLEMS + 1:  # one more may say how many were left out already
        fields = [*fields[:MOST_PROBLEMS], *left_out(len(fields) - MOST_PROBLEMS)]
    known_code, known_title = TITLES.get(status) or (HTTPStatus(status).name.lower(), HTTPStatus(status).phrase)
    code = code or known_code
    return {
        "type": f"urn:firstlight:problem:{code}",
        "title": title or known_title,
        "status": status,
        "detail": _shortened(detail),
        "code": code,
        "request_id": request_id,
        "errors": [{"pointer": _shortened(field.pointer), "message": _shortened(field.message)} for field in fields],
    }


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


class ProblemResponse(Response):
    """A problem document on its way out."""

    media_type = MEDIA_TYPE

    def __init__(self, document: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(orjson.dumps(document), status_code=document["status"], headers=headers)
