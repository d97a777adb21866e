"""Derive an experiment's state from its cohorts, and tell it in events."""

from typing import Any

import structlog
from sqlalchemy import Row, func, select, update
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from services.cohorts import events
from services.cohorts.progress import progress
from services.db.base import now
from services.db.tables import CohortRow, ExperimentRow, TrialRow
from services.states import FINAL

log = structlog.get_logger(__name__)

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, AssertionError, DataError)
"""What reading a record raises that is not as it was written."""


def lock_experiment(session: Session, experiment_id: str) -> ExperimentRow | None:
    """The experiment's row, locked and fresh. Always taken after the locks of its cohorts."""
    return session.scalars(
        select(ExperimentRow)
        .where(ExperimentRow.id == experiment_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def lock(session: Session, experiment_id: str) -> Row[str, str, int]:
    """Lock the experiment's row; its state, what is desired and its last event. No other column is read."""
    facts = (ExperimentRow.state, ExperimentRow.desired, ExperimentRow.event_seq)
    row = session.execute(select(*facts).where(ExperimentRow.id == experiment_id).with_for_update()).one_or_none()
    assert row is not None, f"cohort without its experiment {experiment_id}"
    return row


def settle(session: Session, experiment_id: str) -> str:
    """Bring the experiment's state in line with its cohorts; called by whatever moves a cohort, in its transaction.

    An experiment whose rounds cannot be read fails when its cohorts are done; their results stand.
    """
    session.flush()
    present, desired, _ = lock(session, experiment_id)
    # The counts are read after the lock: of two cohorts that end at once, the second sees the first.
    state = state_of(present, _counts(session, experiment_id))
    error = None
    if state == "succeeded" and desired != "cancel":
        try:
            if _another_round(session, experiment_id):
                state = state_of(present, _counts(session, experiment_id))
                events.append(session, experiment_id, [("progress", progress(session, experiment_id))])
        except MALFORMED as problem:
            log.error("rounds_unreadable", experiment=experiment_id, error=f"{type(problem).__name__}: {problem}"[:300])
            detail = f"what is stored of its rounds cannot be read ({type(problem).__name__}): no more seeds are added"
            state, error = "failed", {"code": "rounds_unreadable", "detail": detail, "failed_trials": 0}
    if state != present:
        _move(session, experiment_id, present, state, error)
    return state


def state_of(present: str, cohorts: dict[str, int]) -> str:
    """The experiment's state, given its present one and how many cohorts stand in each state."""
    if cohorts.get("running"):
        return "running"
    if cohorts.get("queued"):
        # Between two attempts nothing runs for a moment: that is no news to anybody.
        return "running" if present == "running" else "queued"
    for state in ("paused", "cancelled", "failed"):
        if cohorts.get(state):
            return state
    return "succeeded"


def _counts(session: Session, experiment_id: str) -> dict[str, int]:
    """Cohorts by state."""
    counts = session.execute(
        select(CohortRow.state, func.count()).where(CohortRow.experiment_id == experiment_id).group_by(CohortRow.state)
    )
    return dict(counts.all())


def _another_round(session: Session, experiment_id: str) -> bool:
    """Whether an experiment whose seeds come in rounds got more of them."""
    in_rounds = select(ExperimentRow.rounds.is_not(None)).where(ExperimentRow.id == experiment_id)
    if not session.execute(in_rounds).scalar_one():
        return False
    # A worker that runs no such experiment needs neither the spec nor the statistics, nor their second to import.
    from services.rounds.advance import next_round  # noqa: PLC0415

    with session.begin_nested():  # what was added before something was found malformed is taken back
        experiment = lock_experiment(session, experiment_id)
        assert experiment is not None
        return next_round(session, experiment)


def _move(session: Session, experiment_id: str, previous: str, state: str, error: dict[str, Any] | None) -> None:
    changes: dict[str, Any] = {"state": state}
    news: list[events.Event] = [("state", {"state": state, "previous": previous})]
    if state == "running":
        changes["started_at"] = func.coalesce(ExperimentRow.started_at, now())
    if state in FINAL:
        changes["finished_at"] = now()
        changes["error"] = (error or _error(session, experiment_id)) if state == "failed" else None
    session.execute(update(ExperimentRow).where(ExperimentRow.id == experiment_id).values(changes))
    if state in FINAL:
        news += [("progress", progress(session, experiment_id)), ("done", {"state": state})]
    events.append(session, experiment_id, news)


def _error(session: Session, experiment_id: str) -> dict[str, Any]:
    """What the first failed trial says, and how many there are."""
    failed = (TrialRow.experiment_id == experiment_id, TrialRow.state == "failed")
    count = session.execute(select(func.count()).where(*failed)).scalar_one()
    try:
        first = session.execute(select(TrialRow.error).where(*failed).order_by(TrialRow.position).limit(1)).scalar()
    except MALFORMED:
        first = None
    return {**(first or {"code": "error", "detail": "a trial failed"}), "failed_trials": count}
