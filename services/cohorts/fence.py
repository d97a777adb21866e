"""The fence: one conditional UPDATE that only the present attempt of a running cohort can make.

It checks and locks the row in one statement. Reading first and writing afterwards would let a takeover slip between.
"""

from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from services.db.base import now
from services.db.tables import AttemptRow, CohortRow, TrialRow

NO_LEASE: dict[str, Any] = {"lease_owner": None, "lease_expires_at": 0.0}


def hold(
    session: Session, cohort_id: str, attempt: int, values: dict[str, Any], *conditions: ColumnElement[bool]
) -> CohortRow | None:
    """Lock the row and write `values` if `attempt` still runs the cohort and the conditions hold, else give None."""
    changed = session.execute(
        update(CohortRow)
        .where(CohortRow.id == cohort_id, CohortRow.attempt == attempt, CohortRow.state == "running", *conditions)
        .values({"attempt": attempt, **values})
        .returning(CohortRow.id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    if changed is None:
        return None
    query = select(CohortRow).where(CohortRow.id == cohort_id).execution_options(populate_existing=True)
    return session.scalars(query).one()


def end_attempt(
    session: Session, cohort_id: str, attempt: int, outcome: str, detail: dict[str, Any] | None = None
) -> None:
    """Note how the attempt ended; the row is kept as evidence."""
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.cohort_id == cohort_id, AttemptRow.attempt == attempt, AttemptRow.outcome.is_(None))
        .values(outcome=outcome, detail=detail, ended_at=now())
        .execution_options(synchronize_session=False)
    )


def move_trials(session: Session, cohort_id: str, state: str, **values: Any) -> None:
    """Move those trials of the cohort that are not final yet."""
    session.execute(
        update(TrialRow)
        .where(TrialRow.cohort_id == cohort_id, TrialRow.state.in_(("queued", "running", "paused")))
        .values(state=state, **values)
        .execution_options(synchronize_session=False)
    )
