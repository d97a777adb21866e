"""Take back the cohorts of workers that went silent or are known to be dead."""

from collections.abc import Collection, Iterable

import structlog
from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from services.cohorts.failure import lose
from services.cohorts.quarantine import quarantine, told
from services.db.clock import CLOCK
from services.db.tables import CohortRow
from services.db.unit_of_work import is_transient, is_unreadable

log = structlog.get_logger(__name__)

AT_ONCE = 100
"""Most cohorts taken back in one transaction; the next sweep takes the others."""


def sweep(session: Session, spared: Collection[str] = ()) -> int:
    """Take back every cohort whose lease has run out; returns how many.

    `spared` are those that the sweeping process runs itself: after a sleep of the machine it is about to renew them.
    """
    return _take_back(session, _over(spared), "its lease ran out")


def reap(session: Session, worker_ids: Iterable[str]) -> int:
    """Take back the cohorts of workers that are known to be dead, without waiting for their leases."""
    ids = list(worker_ids)
    return _take_back(session, CohortRow.lease_owner.in_(ids), "its worker is dead") if ids else 0


def overdue(session: Session, spared: Collection[str] = ()) -> bool:
    """Whether a sweep would find anything; a read, so that idle workers do not queue for the write lock."""
    query = select(CohortRow.id).where(CohortRow.state == "running", _over(spared)).limit(1)
    return session.execute(query).first() is not None


def _over(spared: Collection[str]) -> ColumnElement[bool]:
    return and_(CohortRow.lease_expires_at < CLOCK, CohortRow.id.not_in(spared))


def _take_back(session: Session, condition: ColumnElement[bool], why: str) -> int:
    silent = session.execute(
        select(CohortRow.id, CohortRow.experiment_id)
        .where(CohortRow.state == "running", condition)
        .order_by(CohortRow.id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    return sum(_taken_back(session, cohort_id, experiment_id, why) for cohort_id, experiment_id in silent)


def _taken_back(session: Session, cohort_id: str, experiment_id: str, why: str) -> bool:
    """Take back one cohort, which is locked. What is wrong with it does not keep the others from being taken back."""
    try:
        with session.begin_nested():
            query = select(CohortRow).where(CohortRow.id == cohort_id).execution_options(populate_existing=True)
            lose(session, session.scalars(query).one(), why)
    except Exception as error:
        if is_transient(error):
            raise
        detail = f"{type(error).__name__}: {error}"[:300]
        log.warning("not_taken_back", cohort_id=cohort_id, experiment_id=experiment_id, error=detail)
        return is_unreadable(error) and quarantine(session, cohort_id, told(error))
    log.info("cohort_taken_back", cohort_id=cohort_id, experiment_id=experiment_id, why=why)
    return True
