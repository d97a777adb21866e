"""A cohort one of whose rows cannot be read is set apart: it fails and says why, and everybody else goes on."""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services.cohorts.endings import Ending, close
from services.cohorts.fence import NO_LEASE, end_attempt
from services.cohorts.settle import settle
from services.db.base import now
from services.db.tables import CheckpointRow, CohortRow, TrialRow
from services.db.unit_of_work import is_transient

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

    It is closed as any other if its rows allow that. If not, nothing is read but what the database itself compares, for
    the bad row may be any; epoch rows then stay for `services.cohorts.packing.pack_one`.

    Args:
        session: an open transaction.
        cohort_id: the cohort.
        detail: the reason.
        attempt: only if this attempt runs it; None for any.

    Returns:
        False when it was no more there to be set apart.
    """
    here = [CohortRow.id == cohort_id]
    if attempt is None:
        here.append(CohortRow.state.in_(("queued", "running")))
    else:
        here += [CohortRow.state == "running", CohortRow.attempt == attempt]
    facts = (CohortRow.experiment_id, CohortRow.attempt, CohortRow.desired)
    cohort = session.execute(select(*facts).where(*here).with_for_update()).one_or_none()
    if cohort is None:
        return False
    state: Ending = "cancelled" if cohort.desired == "cancel" else "failed"
    error = {"code": "unreadable", "detail": detail[:DETAIL_LIMIT]} if state == "failed" else None
    end_attempt(session, cohort_id, cohort.attempt, state, error)
    try:
        with session.begin_nested():
            query = select(CohortRow).where(CohortRow.id == cohort_id).execution_options(populate_existing=True)
            close(session, session.scalars(query).one(), state, error)
    except Exception as problem:
        if is_transient(problem):
            raise
        session.expire_all()
        _close_unread(session, cohort_id, {"state": state, "error": error, "finished_at": now()})
        settle(session, cohort.experiment_id)
    return True


def _close_unread(session: Session, cohort_id: str, final: dict[str, Any]) -> None:
    quietly = {"synchronize_session": False}
    this = update(CohortRow).where(CohortRow.id == cohort_id)
    session.execute(this.values(desired="run", **NO_LEASE, **final), execution_options=quietly)
    mine = (TrialRow.cohort_id == cohort_id, TrialRow.state.in_(("queued", "running", "paused")))
    session.execute(update(TrialRow).where(*mine).values(final), execution_options=quietly)
    session.execute(delete(CheckpointRow).where(CheckpointRow.cohort_id == cohort_id), execution_options=quietly)
