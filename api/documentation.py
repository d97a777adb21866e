"""What every route says of itself in the OpenAPI document: its problems, with an example of each."""

from typing import Any

from api.problems import MEDIA_TYPE, problem
from services.errors import FieldProblem

EXAMPLE_ID = "exp_0f1e2d3c4b5a69788796a5b4c3d2e1f0"
EXAMPLE_KEY_ID = "key_5b1f0c9e2d3a47688796a5b4c3d2e1f0"
SMALL_SCOPE = f"the key {EXAMPLE_KEY_ID} has the scope read; this needs the scope write"
EXAMPLE_REQUEST = "5f0c6f1e6c0f4a4f9f5e1f8f3f0c1a2b"

EXAMPLES: dict[int, dict[str, Any]] = {
    400: {"detail": "the body is not valid JSON: unexpected end of data", "code": "invalid_json"},
    401: {"detail": "send one of the service's keys as `Authorization: Bearer KEY`"},
    403: {
        "detail": SMALL_SCOPE,
        "code": "insufficient_scope",
        "title": "The key may not do this",
        "fields": [FieldProblem("Authorization", SMALL_SCOPE)],
    },
    404: {"detail": f"there is no experiment '{EXAMPLE_ID}'"},
    406: {
        "detail": "this can be served as application/json, text/csv, application/jsonl, application/vnd.apache.parquet"
    },
    408: {"detail": "the body came slower than 2000 bytes/s for 20 s"},
    409: {
        "detail": "the experiment has already succeeded; only one that is not final is cancelled",
        "code": "conflict",
        "title": "The current state forbids this",
    },
    410: {
        "detail": "the files of the uploaded data set 'dts_3f2a9c1b7d4e5f60718293a4' were removed; upload it again",
        "code": "gone",
        "title": "No longer there",
    },
    413: {"detail": "the body may have at most 1000000 bytes"},
    415: {"detail": "send the body as application/json"},
    421: {"detail": "this service is not served as 'a.org'; if it should be, add the name to FIRSTLIGHT_ALLOWED_HOSTS"},
    422: {
        "detail": "limit: should be greater than or equal to 1, not '0'",
        "fields": [FieldProblem("limit", "should be greater than or equal to 1, not '0'")],
    },
    429: {
        "detail": "all 200 event streams are in use; try again later",
        "code": "too_busy",
        "title": "A limit is reached",
    },
    431: {"detail": "a request may have at most 100 header fields"},
    500: {"detail": "an unexpected error; the log has it under this request_id"},
    503: {"detail": "the database does not answer; try again"},
}
WRONG_NAME = "unknown name 'adma'; did you mean 'adam'? legal: adagrad, adam, adamw, rmsprop, sgd"
WRONG_SPEC: dict[str, Any] = {
    "detail": f"/optimizer: {WRONG_NAME}",
    "code": "spec_invalid",
    "title": "The experiment spec is not valid",
    "fields": [FieldProblem("/optimizer", WRONG_NAME)],
}
"""The 422 of a route that takes a spec."""
FULL_WORKSPACE: dict[str, Any] = {
    "detail": "the workspace has 12 unfinished trials and takes at most 12; this adds 12 trials: come back in about "
    "5 s, or cancel what is not needed",
    "code": "workspace_full",
    "title": "The workspace is full",
}
"""The 429 of a route that adds work."""
DESCRIPTIONS = {
    400: "The request is not HTTP, its body is not JSON, or its address holds a NUL character.",
    401: "No key, or none that opens the service: unknown, expired or revoked.",
    403: "The key's scope is too small; or, without keys, the request comes from a page of another site.",
    404: "No such thing, or not in the workspace of the key.",
    406: "None of the accepted media types can be served.",
    408: "The request came too slowly.",
    409: "The state forbids it.",
    410: "Its files were removed.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    421: "The service is not served under this name.",
    422: "Something in the request is not valid; `errors` names every place.",
    429: "A limit is reached (requests of this key, event streams, unfinished work of the workspace, wrong keys); see "
    "Retry-After.",
    431: "Too many or too long header fields, or too long an address.",
    500: "Unexpected; the log has it under the request id. With the code `unreadable` a stored row is damaged, that of "
    "this very thing: everything else is served.",
    503: "The database does not answer, all connections are in use, or the queue is full; see Retry-After.",
}


def problems(*statuses: int, takes_spec: bool = False, adds_work: bool = False) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems; one that adds work may find no room for it."""
    special: dict[int, dict[str, Any]] = {}
    if takes_spec:
        special[422] = WRONG_SPEC
    if adds_work:
        special[429] = FULL_WORKSPACE
    return {status: problem_response(status, special.get(status)) for status in {*statuses, *special}}


def problem_response(status: int, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    """One entry of an OpenAPI `responses` object; `fields` are the example's where it is not the usual one."""
    example = problem(status, request_id=EXAMPLE_REQUEST, **(fields or EXAMPLES[status]))
    return {
        "description": DESCRIPTIONS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
