"""The audit log: who changed what, and who was refused."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.keys.schemas import WorkspaceId
from api.pagination import Cursor, Limit, Page, decode, encode
from api.state import ContextDep
from api.strict_json import StrictRoute
from services.accounts.audit import list_deeds
from services.db.tables import AuditRow

router = APIRouter(prefix="/v1/audit", tags=["accounts"], route_class=StrictRoute)


class AuditEntry(BaseModel):
    """One request that changed something, tried to, or was refused. Never its body, never a key."""

    at: datetime
    workspace: str | None = Field(description="Of the key; null where the key was none of the service's.")
    key_id: str | None = Field(description="Null where no key was asked for, or the key was none of the service's.")
    address: str | None = Field(description="Where the request came from.")
    method: str
    operation: str = Field(description="The path as in this document.")
    object_id: str | None = Field(description="What it was about, or what it made.")
    status: int = Field(description="What was answered.")
    request_id: str

    @classmethod
    def of(cls, row: AuditRow) -> "AuditEntry":
        """The stored row as it is shown."""
        return cls(
            at=row.at,
            workspace=row.workspace_id,
            key_id=row.key_id,
            address=row.address,
            method=row.method,
            operation=row.operation,
            object_id=row.object_id,
            status=row.status,
            request_id=row.request_id,
        )


@router.get("", summary="Read the audit log", response_model=Page[AuditEntry], responses=problems(404, 422))
def read_audit(
    context: ContextDep,
    limit: Limit = 100,
    cursor: Cursor = None,
    workspace: Annotated[WorkspaceId | None, Query(description="Only what was done in this workspace.")] = None,
    key: Annotated[str | None, Query(max_length=40, description="Only what was done with this key, by its id.")] = None,
    object_id: Annotated[
        str | None, Query(alias="object", max_length=64, description="Only what was done to this.")
    ] = None,
) -> Response:
    """The newest first: of the workspace of the key; for admin keys of `default`, of all."""
    after = decode(cursor, int)
    context.audit.flush()
    with context.database.read() as session:
        rows, last = list_deeds(
            session,
            context.principal,
            limit,
            after[0] if after else None,
            workspace=workspace,
            key_id=key,
            object_id=object_id,
        )
        items = [AuditEntry.of(row).model_dump(mode="json") for row in rows]
    return JsonAnswer({"items": items, "next_cursor": encode(last) if last is not None else None})
