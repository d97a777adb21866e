"""Make and list workspaces: places whose experiments and data sets nobody else sees."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.keys.schemas import Name
from api.pagination import Cursor, Limit, Page, decode, encode
from api.state import ContextDep
from api.strict_json import StrictRoute
from services.accounts.workspaces import create_workspace, get_workspace, list_workspaces
from services.db.tables import WorkspaceRow
from services.science.base import Strict

router = APIRouter(prefix="/v1/workspaces", tags=["accounts"], route_class=StrictRoute)

LOCATION = {"Location": {"description": "The new workspace.", "schema": {"type": "string"}}}


class WorkspaceRequest(Strict):
    """What a new workspace is to be called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "course of 2026"}]})

    name: Name


class Workspace(BaseModel):
    """A place for experiments and data sets."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "default", "name": "default", "created_at": "2026-01-31T12:00:00Z"}]}
    )

    id: str = Field(description="`default` is always there: what the service had before belongs to it.")
    name: str
    created_at: datetime

    @classmethod
    def of(cls, row: WorkspaceRow) -> "Workspace":
        """The stored row as it is shown."""
        return cls(id=row.id, name=row.name, created_at=row.created_at)


@router.post(
    "",
    summary="Make a workspace",
    status_code=201,
    response_model=Workspace,
    responses={201: {"description": "Made.", "headers": LOCATION}, **problems(409, 422)},
)
def make_workspace(context: ContextDep, body: WorkspaceRequest) -> Response:
    """Empty, and opened by the keys that are made for it."""
    with context.database.write() as session:
        row = create_workspace(session, body.name)
    answer = Workspace.of(row).model_dump(mode="json")
    return JsonAnswer(answer, status_code=201, headers={"Location": f"/v1/workspaces/{row.id}"})


@router.get("", summary="List the workspaces", response_model=Page[Workspace], responses=problems(422))
def read_workspaces(context: ContextDep, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """By id. Admin keys of `default` see all, other keys the one that they open."""
    after = decode(cursor, str)
    with context.database.read() as session:
        rows, last = list_workspaces(session, context.principal, limit, after[0] if after else None)
        items = [Workspace.of(row).model_dump(mode="json") for row in rows]
    return JsonAnswer({"items": items, "next_cursor": encode(last) if last else None})


@router.get("/{workspace_id}", summary="Read a workspace", response_model=Workspace, responses=problems(404))
def read_workspace(context: ContextDep, workspace_id: str) -> Response:
    """Its name, and since when it is there."""
    with context.database.read() as session:
        return JsonAnswer(Workspace.of(get_workspace(session, context.principal, workspace_id)).model_dump(mode="json"))
