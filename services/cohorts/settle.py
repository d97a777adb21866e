"""Derive an experiment's state from its cohorts, and tell it in events."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.cohorts import events
from services.cohorts.progress import progress
from services.cohorts.states import FINAL
from services.db.base import now
from services.db.tables import CohortRow, ExperimentRow, TrialRow


def lock_experiment(session: Session, experiment_id: str) -> ExperimentRow | None:
    """The experiment's row, locked and fresh. Always taken after the locks of its cohorts."""
    return session.scalars(
        select(ExperimentRow)
        .where(ExperimentRow.id == experiment_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def settle(session: Session, experiment_id: str) -> str:
    """Bring the experiment's state in line with its cohorts; called by whatever moves a cohort, in its transaction."""
    session.flush()
    experiment = lock_experiment(session, experiment_id)
    assert experiment is not None, f"cohort without its experiment {experiment_id}"
    # The counts are read after the lock: of two cohorts that end at once, the second sees the first.
    state = state_of(experiment.state, _counts(session, experiment_id))
    if state == "succeeded" and _another_round(session, experiment):
        state = state_of(experiment.state, _counts(session, experiment_id))
        events.append(session, experiment_id, [("progress", progress(session, experiment_id))])
    if state != experiment.state:
        _move(session, experiment, state)
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


def _another_round(session: Session, experiment: ExperimentRow) -> bool:
    """Whether an experiment whose seeds come in rounds got more of them; not when it is to be cancelled."""
    if experiment.rounds is None or experiment.desired == "cancel":
        return False
    # A worker that runs no such experiment needs neither the spec nor the statistics, nor their second to import.
    from services.rounds.service import next_round  # noqa: PLC0415

    return next_round(session, experiment)


def _move(session: Session, experiment: ExperimentRow, state: str) -> None:
    previous, experiment.state = experiment.state, state
    experiment.started_at = experiment.started_at or (now() if state == "running" else None)
    found: list[events.Event] = [("state", {"state": state, "previous": previous})]
    if state in FINAL:
        experiment.finished_at = now()
        experiment.error = _error(session, experiment.id) if state == "failed" else None
        session.flush()
        found += [("progress", progress(session, experiment.id)), ("done", {"state": state})]
    session.flush()
    events.append(session, experiment.id, found)


def _error(session: Session, experiment_id: str) -> dict[str, Any] | None:
    """What the first failed trial says, and how many there are."""
    failed = (TrialRow.experiment_id == experiment_id, TrialRow.state == "failed")
    count = session.execute(select(func.count()).where(*failed)).scalar_one()
    first = session.execute(select(TrialRow.error).where(*failed).order_by(TrialRow.position).limit(1)).scalar()
    return {**(first or {"code": "error", "detail": "a trial failed"}), "failed_trials": count}
