"""The audit log: who changed what, when, and what came of it; also who was refused."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from services.accounts.principal import Principal
from services.accounts.workspaces import get_workspace
from services.db.base import now
from services.db.tables import AuditRow

FORGOTTEN_AT_ONCE = 10_000
"""Most lines that are removed in one transaction."""


@dataclass(frozen=True)
class Deed:
    """One line of the log; the columns of `AuditRow`."""

    at: datetime
    workspace_id: str | None
    key_id: str | None
    address: str | None
    method: str
    operation: str
    object_id: str | None
    status: int
    request_id: str


def write_deeds(session: Session, deeds: Sequence[Deed]) -> None:
    """Append lines, in this order."""
    if deeds:
        session.execute(insert(AuditRow), [asdict(deed) for deed in deeds])


def forget_deeds(session: Session, days: float) -> int:
    """Remove lines older than this, the oldest first; returns how many, at most `FORGOTTEN_AT_ONCE`."""
    old = (
        select(AuditRow.id)
        .where(AuditRow.at < now() - timedelta(days=days))
        .order_by(AuditRow.at)
        .limit(FORGOTTEN_AT_ONCE)
    )
    ids = list(session.scalars(old))
    if ids:
        session.execute(delete(AuditRow).where(AuditRow.id.in_(ids)))
    return len(ids)


def list_deeds(
    session: Session,
    asked_by: Principal,
    limit: int,
    after: int | None = None,
    *,
    workspace: str | None = None,
    key_id: str | None = None,
    object_id: str | None = None,
) -> tuple[list[AuditRow], int | None]:
    """One page of the log, the newest first: of the asker's workspace, or of all for those who run the service.

    Returns:
        The rows, and the number of the last one when more follow.

    Raises:
        NotFoundError: no such workspace, or not the asker's.
    """
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit + 1)
    if workspace is not None:
        query = query.where(AuditRow.workspace_id == get_workspace(session, asked_by, workspace).id)
    elif not asked_by.runs_the_service:
        query = query.where(AuditRow.workspace_id == asked_by.workspace)
    if key_id is not None:
        query = query.where(AuditRow.key_id == key_id)
    if object_id is not None:
        query = query.where(AuditRow.object_id == object_id)
    if after is not None:
        query = query.where(AuditRow.id < after)
    rows = list(session.scalars(query))
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, rows[-1].id if more else None
