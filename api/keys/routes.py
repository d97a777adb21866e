"""Make, list and revoke keys."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.keys.schemas import Key, KeyRequest, NewKey, WorkspaceId
from api.pagination import Cursor, Limit, Page, decode, encode
from api.state import ContextDep
from api.strict_json import StrictRoute
from services.accounts.keys import create_key, get_key, list_keys, revoke_key

router = APIRouter(prefix="/v1/keys", tags=["accounts"], route_class=StrictRoute)

LOCATION = {"Location": {"description": "The new key.", "schema": {"type": "string"}}}


@router.post(
    "",
    summary="Make a key",
    status_code=201,
    response_model=NewKey,
    responses={
        201: {"description": "Made; `key` is shown this once.", "headers": LOCATION},
        **problems(404, 409, 422),
    },
)
def make_key(context: ContextDep, body: KeyRequest) -> Response:
    """A key of a workspace, for reading, writing, or making keys. From the first one on, the service asks for a key.

    Admin keys of the workspace `default` make keys for every workspace, others for their own.
    """
    workspace = body.workspace or context.principal.workspace
    with context.database.write() as session:
        row, key = create_key(session, context.principal, body.name, body.scope, workspace, body.expires_at)
    context.keys.note_made()
    answer = NewKey.made(row, key).model_dump(mode="json")
    return JsonAnswer(answer, status_code=201, headers={"Location": f"/v1/keys/{row.id}"})


@router.get("", summary="List the keys", response_model=Page[Key], responses=problems(404, 422))
def read_keys(
    context: ContextDep,
    limit: Limit = 100,
    cursor: Cursor = None,
    workspace: Annotated[WorkspaceId | None, Query(description="Only those of this workspace.")] = None,
) -> Response:
    """The newest first, those that expired or were revoked too. Admin keys of `default` see every workspace's."""
    after = decode(cursor, datetime, str)
    with context.database.read() as session:
        rows, last = list_keys(session, context.principal, workspace, limit, after and (after[0], after[1]))
        items = [Key.of(row).model_dump(mode="json") for row in rows]
    return JsonAnswer({"items": items, "next_cursor": encode(*last) if last else None})


@router.get("/{key_id}", summary="Read a key", response_model=Key, responses=problems(404))
def read_key(context: ContextDep, key_id: str) -> Response:
    """Its scope, workspace and times; never the key itself."""
    with context.database.read() as session:
        return JsonAnswer(Key.of(get_key(session, context.principal, key_id)).model_dump(mode="json"))


@router.delete("/{key_id}", summary="Revoke a key", status_code=204, responses=problems(404, 409))
def delete_key(context: ContextDep, key_id: str) -> Response:
    """From now on it opens nothing. The last admin key of the workspace `default` stays: make another first."""
    with context.database.write() as session:
        revoke_key(session, context.principal, key_id, others=context.keys.configured)
    context.keys.forget(key_id)
    return Response(status_code=204)
