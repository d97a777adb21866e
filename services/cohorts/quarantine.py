"""A cohort one of whose rows cannot be read is set apart: it fails and says why, and everybody else goes on."""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services.cohorts.fence import NO_LEASE, end_attempt
from services.cohorts.settle import settle
from services.db.base import now
from services.db.tables import CheckpointRow, CohortRow, TrialRow

DETAIL_LIMIT = 300


class UnreadableError(Exception):
    """A cohort, or what belongs to it, is stored in a form that cannot be read. Raised where it was to be claimed."""

    def __init__(self, cohort_id: str, error: BaseException) -> None:
        super().__init__(f"cohort {cohort_id}: {told(error)}")
        self.cohort_id = cohort_id
        self.detail = told(error)


def told(error: BaseException) -> str:
    """What is wrong with a row, for whoever looks for the reason."""
    return f"a stored row cannot be read: {type(error).__name__}: {error}"[:DETAIL_LIMIT]


def quarantine(session: Session, cohort_id: str, detail: str, attempt: int | None = None) -> bool:
    """Let a queued or running cohort fail for what `told` says; one that was to be cancelled is cancelled.

    Nothing is read here but what the database itself compares: the bad row may be any. Epoch rows stay for
    `services.cohorts.packing.pack_one`.

    Args:
        session: an open transaction.
        cohort_id: the cohort.
        detail: the reason.
        attempt: only if this attempt runs it; None for any.

    Returns:
        False when it was no more there to be set apart.
    """
    here = [CohortRow.id == cohort_id, CohortRow.state.in_(("queued", "running"))]
    if attempt is not None:
        here.append(CohortRow.attempt == attempt)
    facts = (CohortRow.experiment_id, CohortRow.attempt, CohortRow.desired)
    found = session.execute(select(*facts).where(*here).with_for_update()).one_or_none()
    if found is None:
        return False
    state = "cancelled" if found.desired == "cancel" else "failed"
    error = {"code": "unreadable", "detail": detail[:DETAIL_LIMIT]} if state == "failed" else None
    final: dict[str, Any] = {"state": state, "error": error, "finished_at": now()}
    quietly = {"synchronize_session": False}
    this = update(CohortRow).where(CohortRow.id == cohort_id)
    session.execute(this.values(desired="run", **NO_LEASE, **final), execution_options=quietly)
    end_attempt(session, cohort_id, found.attempt, state, error)
    mine = (TrialRow.cohort_id == cohort_id, TrialRow.state.in_(("queued", "running", "paused")))
    session.execute(update(TrialRow).where(*mine).values(final), execution_options=quietly)
    session.execute(delete(CheckpointRow).where(CheckpointRow.cohort_id == cohort_id), execution_options=quietly)
    session.expire_all()
    settle(session, found.experiment_id)
    return True
