"""What a user asks of a whole experiment: cancel, pause, resume, retry.

A cohort that waits follows at once; one that runs gets the request in `desired` and follows when its child has ended.
"""

from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services.cohorts.endings import close
from services.cohorts.fence import move_trials
from services.cohorts.settle import lock_experiment, settle
from services.db.tables import CohortRow, CurveRow, DiagnosticRow, EpochRow, ExperimentRow, TrialRow
from services.errors import ConflictError, NotFoundError
from services.states import FINAL


def request_cancel(session: Session, experiment_id: str) -> str:
    """Cancel what is not final yet and return the experiment's state; doing it twice changes nothing.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: it has already succeeded or failed.
    """
    experiment = _locked(session, experiment_id, ("queued", "running", "paused"))
    if experiment.state == "cancelled":
        return experiment.state
    if experiment.state in FINAL:
        raise ConflictError(f"the experiment has already {experiment.state}; only one that is not final is cancelled")
    experiment.desired = "cancel"
    # Read again: a cohort may have been split off while the locks were taken.
    for cohort in _cohorts(session, experiment_id, ("queued", "running", "paused")):
        if cohort.state == "running":
            cohort.desired = "cancel"
        else:
            close(session, cohort, "cancelled")
    return settle(session, experiment_id)


def request_pause(session: Session, experiment_id: str) -> str:
    """Set aside what is queued and stop what runs at its next checkpoint; returns the experiment's state.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: it is final, or being cancelled.
    """
    experiment = _locked(session, experiment_id, ("queued", "running"))
    if experiment.state in FINAL:
        raise ConflictError(f"the experiment has already {experiment.state}; only one that is not final is paused")
    if experiment.desired == "cancel":
        raise ConflictError("the experiment is being cancelled and cannot be paused")
    experiment.desired = "pause"
    for cohort in _cohorts(session, experiment_id, ("queued", "running")):
        if cohort.state == "running":
            cohort.desired = "pause"
        else:
            cohort.state = "paused"
            move_trials(session, cohort.id, "paused")
    return settle(session, experiment_id)


def resume(session: Session, experiment_id: str) -> str:
    """Queue what was paused, and take back a pause that has not happened yet; returns the experiment's state.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: it is neither paused nor asked to pause.
    """
    experiment = _locked(session, experiment_id, ("paused", "running"))
    if experiment.desired != "pause":
        raise ConflictError(f"the experiment is {experiment.state}; only a paused one is resumed")
    experiment.desired = "run"
    for cohort in _cohorts(session, experiment_id, ("paused", "running")):
        cohort.desired = "run"
        if cohort.state == "paused":
            _queue(session, cohort)
    return settle(session, experiment_id)


def retry_failed(session: Session, experiment_id: str) -> int:
    """Queue the failed cohorts again, from their beginning and with fresh budgets; returns how many trials that are.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: it has not failed, or for another reason than its trials.
    """
    experiment = _locked(session, experiment_id, ("failed",))
    if experiment.state != "failed":
        raise ConflictError(f"the experiment is {experiment.state}; only a failed one has trials to retry")
    trials = list(
        session.scalars(select(TrialRow.id).where(TrialRow.experiment_id == experiment_id, TrialRow.state == "failed"))
    )
    if not trials:
        raise ConflictError(f"the experiment has failed, but none of its trials has: {experiment.error}")
    for table in (EpochRow, CurveRow, DiagnosticRow):
        session.execute(delete(table).where(table.trial_id.in_(trials)))
    blank: dict[str, Any] = {"state": "queued", "error": None, "epochs_done": 0, "finished_at": None}
    session.execute(update(TrialRow).where(TrialRow.id.in_(trials)).values(blank))
    for cohort in _cohorts(session, experiment_id, ("failed",)):
        cohort.failures = cohort.losses = 0
        cohort.last_epoch, cohort.duration_seconds = -1, 0.0
        cohort.energy_joules = cohort.energy_method = None
        cohort.error = cohort.finished_at = None
        _queue(session, cohort)
    experiment.desired, experiment.error, experiment.finished_at = "run", None, None
    settle(session, experiment_id)
    return len(trials)


def _queue(session: Session, cohort: CohortRow) -> None:
    cohort.state, cohort.desired, cohort.available_at = "queued", "run", 0.0
    session.flush()
    move_trials(session, cohort.id, "queued")


def _locked(session: Session, experiment_id: str, states: tuple[str, ...]) -> ExperimentRow:
    """The experiment, locked after its cohorts in these states: every transaction locks in this order."""
    _cohorts(session, experiment_id, states)
    experiment = lock_experiment(session, experiment_id)
    if experiment is None:
        raise NotFoundError(f"there is no experiment {experiment_id[:60]!r}")
    return experiment


def _cohorts(session: Session, experiment_id: str, states: tuple[str, ...]) -> list[CohortRow]:
    query = (
        select(CohortRow)
        .where(CohortRow.experiment_id == experiment_id, CohortRow.state.in_(states))
        .order_by(CohortRow.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))
