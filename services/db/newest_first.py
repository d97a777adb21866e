"""Pages of rows that were made at a time, the newest first."""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Select, or_
from sqlalchemy.orm import Session

from services.db.tables import ApiKeyRow, ExperimentRow

Place = tuple[datetime, str]
"""Where a page ended: when its last row was made, and the row's id."""
Row = TypeVar("Row", ExperimentRow, ApiKeyRow)


def newest_first(
    session: Session, query: Select[Row], table: type[Row], limit: int, after: Place | None
) -> tuple[list[Row], Place | None]:
    """One page of what the query selects.

    Returns:
        The rows, and the place of the last one when more follow.
    """
    if after is not None:
        created, last = after
        older = (table.created_at == created) & (table.id < last)
        query = query.where(or_(table.created_at < created, older))
    rows = list(session.scalars(query.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, (rows[-1].created_at, rows[-1].id) if more else None
