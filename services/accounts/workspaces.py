"""Workspaces: places whose experiments and data sets nobody else sees. `services/db/isolation.py` keeps them apart."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.accounts.principal import Principal
from services.cohorts.turns import latest_workspace_turn
from services.db.base import new_id
from services.db.tables import WorkspaceRow
from services.errors import ConflictError, NotFoundError

MOST_WORKSPACES = 10_000


def create_workspace(session: Session, name: str) -> WorkspaceRow:
    """Make one; whoever asks runs the service.

    Raises:
        ConflictError: the name is taken, or there are as many as allowed.
    """
    if session.scalar(select(WorkspaceRow.id).where(WorkspaceRow.name == name)) is not None:
        raise ConflictError(f"there is a workspace named {name!r} already")
    if (session.scalar(select(func.count()).select_from(WorkspaceRow)) or 0) >= MOST_WORKSPACES:
        raise ConflictError(f"there are {MOST_WORKSPACES} workspaces; no more are allowed")
    row = WorkspaceRow(id=new_id("wsp"), name=name, turn=latest_workspace_turn(session))
    session.add(row)
    session.flush()
    return row


def get_workspace(session: Session, asked_by: Principal, workspace_id: str) -> WorkspaceRow:
    """Find a workspace.

    Raises:
        NotFoundError: no such workspace, or not the asker's.
    """
    row = session.get(WorkspaceRow, workspace_id)
    if row is None or not (asked_by.runs_the_service or row.id == asked_by.workspace):
        raise NotFoundError(f"there is no workspace {workspace_id[:60]!r}")
    return row


def list_workspaces(
    session: Session, asked_by: Principal, limit: int, after: str | None = None
) -> tuple[list[WorkspaceRow], str | None]:
    """One page of the workspaces that the asker may know of, by id.

    Returns:
        The rows, and the id of the last one when more follow.
    """
    query = select(WorkspaceRow).order_by(WorkspaceRow.id).limit(limit + 1)
    if not asked_by.runs_the_service:
        query = query.where(WorkspaceRow.id == asked_by.workspace)
    if after is not None:
        query = query.where(WorkspaceRow.id > after)
    rows = list(session.scalars(query))
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, rows[-1].id if more else None
