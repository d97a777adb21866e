"""How an attempt that was not a failure ends: finished, cancelled, or given back."""

from typing import Any, Literal

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from services.child_protocol import Energy
from services.cohorts.checkpoints import keep_newest
from services.cohorts.energy import add_energy
from services.cohorts.fence import NO_LEASE, end_attempt, hold, move_trials
from services.cohorts.packing import pack_soon, summaries
from services.cohorts.settle import settle
from services.db.base import now
from services.db.clock import CLOCK
from services.db.tables import CohortRow, TrialRow
from services.states import check_move

Ending = Literal["succeeded", "failed", "cancelled"]


class UnfinishedError(ValueError):
    """A child said it was done although epochs are missing."""


def finish(session: Session, cohort_id: str, attempt: int, energy: Energy | None = None) -> bool:
    """Every epoch is stored: the trials become final. False when the attempt is fenced.

    Raises:
        UnfinishedError: an epoch is missing and not every trial has diverged.
    """
    cohort = hold(session, cohort_id, attempt, {})
    if cohort is None:
        return False
    training = session.execute(
        select(func.count()).where(TrialRow.cohort_id == cohort_id, TrialRow.state == "running")
    ).scalar_one()
    if training and cohort.last_epoch < cohort.epochs:
        raise UnfinishedError(
            f"the child is done after epoch {cohort.last_epoch} of {cohort.epochs}, and {training} trials are not"
        )
    add_energy(cohort, energy)
    end_attempt(session, cohort_id, attempt, "done")
    close(session, cohort, "succeeded")
    return True


def release(session: Session, cohort_id: str, attempt: int, energy: Energy | None = None) -> str | None:
    """Give the cohort back after a drain, a pause or a cancel; the child has ended. None when the attempt is fenced.

    What becomes of it is what is asked of it: cancelled, paused, or queued again at once. No budget is touched.
    """
    cohort = hold(session, cohort_id, attempt, {"interruptions": CohortRow.interruptions + 1})
    if cohort is None:
        return None
    add_energy(cohort, energy)
    end_attempt(session, cohort_id, attempt, {"cancel": "cancelled", "pause": "paused"}.get(cohort.desired, "drained"))
    return give_back(session, cohort, delay=0.0)


def give_back(session: Session, cohort: CohortRow, delay: float) -> str:
    """Put a cohort whose attempt has ended where its requests want it; `delay` seconds before it is due again."""
    if cohort.desired == "cancel":
        close(session, cohort, "cancelled")
        return "cancelled"
    state = "paused" if cohort.desired == "pause" else "queued"
    check_move(cohort.state, state)
    session.flush()
    session.execute(
        update(CohortRow)
        .where(CohortRow.id == cohort.id)
        # Due at once is due by any clock, also by one that is set back meanwhile.
        .values(state=state, desired="run", available_at=CLOCK + delay if delay > 0 else 0.0, **NO_LEASE)
        .execution_options(synchronize_session=False)
    )
    session.expire(cohort)
    move_trials(session, cohort.id, state)
    settle(session, cohort.experiment_id)
    return state


def close(session: Session, cohort: CohortRow, state: Ending, error: dict[str, Any] | None = None) -> None:
    """Make the cohort and its trials final, sum up and pack their rows, and settle the experiment.

    The checkpoint files are left to the caller or to `services.cohorts.leftovers`.
    """
    for name, value in NO_LEASE.items():
        setattr(cohort, name, value)
    cohort.state, cohort.error, cohort.finished_at, cohort.desired = state, error, now(), "run"
    session.flush()
    keep_newest(session, cohort.id, count=0)
    query = select(TrialRow).where(TrialRow.cohort_id == cohort.id).order_by(TrialRow.slot)
    trials = list(session.scalars(query.execution_options(populate_existing=True)))
    sums = summaries(session, [trial.id for trial in trials])
    for trial in trials:
        if trial.state not in ("diverged", "succeeded"):
            trial.state, trial.error, trial.finished_at = state, error, now()
        final, best = sums.get(trial.id, (None, None))
        if trial.state in ("diverged", "succeeded"):
            trial.final, trial.best = final, best
        trial.duration_seconds = cohort.duration_seconds
        # Equal shares: the trials of a cohort run in the same operations, so nothing tells them apart.
        trial.energy_joules = None if cohort.energy_joules is None else cohort.energy_joules / cohort.size
        trial.energy_method = cohort.energy_method
    session.flush()
    pack_soon(session, [trial.id for trial in trials])
    settle(session, cohort.experiment_id)
