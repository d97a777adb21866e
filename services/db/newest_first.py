"""Pages of rows that were made at a time, the newest first."""

from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from services.db.tables import ApiKeyRow, ExperimentRow
from services.errors import StoredUnreadableError

log = structlog.get_logger(__name__)

Place = tuple[datetime, str]
"""Where a page ended: when its last row was made, and the row's id."""
Row = TypeVar("Row", ExperimentRow, ApiKeyRow)


def newest_first(
    session: Session, query: Select[Row], table: type[Row], limit: int, after: Place | None
) -> tuple[list[Row], Place | None]:
    """One page of what the query selects; a row that cannot be read is left out, and the log names it.

    Returns:
        The rows, and the place of the last one when more follow.
    """
    if after is not None:
        created, last = after
        older = (table.created_at == created) & (table.id < last)
        query = query.where(or_(table.created_at < created, older))
    query = query.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    try:
        rows = list(session.scalars(query))
        places = [(row.created_at, row.id) for row in rows]
    except StoredUnreadableError:
        places = [
            (row.created_at, row.id) for row in session.execute(query.with_only_columns(table.created_at, table.id))
        ]
        rows = [row for _, row_id in places if (row := _readable(session, table, row_id)) is not None]
        rows = rows if len(places) <= limit else [row for row in rows if row.id != places[-1][1]]
    return rows[:limit], places[limit - 1] if len(places) > limit else None


def _readable(session: Session, table: type[Row], row_id: str) -> Row | None:
    try:
        return session.scalars(select(table).where(table.id == row_id)).one_or_none()
    except StoredUnreadableError as error:
        log.warning("stored_row_unreadable", table=table.__tablename__, id=row_id, error=error.detail[:300])
        return None
