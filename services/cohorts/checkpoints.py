"""The rows that name checkpoint files. A file may be deleted only after the commit that removed its row."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from services.db.tables import CheckpointRow

KEPT = 2
"""The newest, and the one before it in case the newest file is damaged."""


def keep_newest(session: Session, cohort_id: str, kept: int = KEPT) -> tuple[str, ...]:
    """Remove all but the `kept` newest rows of a cohort and return the paths of the others."""
    rows = session.execute(
        select(CheckpointRow.epoch, CheckpointRow.path)
        .where(CheckpointRow.cohort_id == cohort_id)
        .order_by(CheckpointRow.epoch.desc())
        .offset(kept)
    ).all()
    forget(session, cohort_id, [row.epoch for row in rows])
    return tuple(row.path for row in rows)


def forget(session: Session, cohort_id: str, epochs: list[int]) -> None:
    """Remove the rows of these epochs (their files are damaged, gone or no longer needed)."""
    if epochs:
        session.execute(
            delete(CheckpointRow).where(CheckpointRow.cohort_id == cohort_id, CheckpointRow.epoch.in_(epochs))
        )
