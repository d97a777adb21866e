"""How far an experiment is and how long it still needs, from the epochs that are stored and the rate they came at."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.db.tables import CohortRow, ExperimentRow, TrialRow
from services.states import FINAL, epochs_behind


@dataclass(frozen=True)
class CohortProgress:
    """What a prediction needs to know of a cohort. `rate`: measured seconds of one epoch, None before the first."""

    state: str
    size: int
    epochs: int
    last_epoch: int
    rate: float | None


def progress(session: Session, experiment_id: str) -> dict[str, Any]:
    """The payload of a progress event."""
    cohorts = _cohorts(session, experiment_id)
    states = session.execute(
        select(TrialRow.state, func.count(), func.sum(TrialRow.epochs_done))
        .where(TrialRow.experiment_id == experiment_id)
        .group_by(TrialRow.state)
    ).all()
    total, epochs = session.execute(
        select(ExperimentRow.trial_count, ExperimentRow.epochs).where(ExperimentRow.id == experiment_id)
    ).one()
    done = sum(epochs_behind(state, count, int(trained), epochs) for state, count, trained in states)
    whole = total * epochs
    return {
        "progress": min(1.0, done / whole) if whole else 1.0,
        "eta_seconds": eta(cohorts),
        "epochs_done": done,
        "epochs_total": whole,
        "trials": {"total": total, **{state: count for state, count, _ in states}},
    }


def remaining(session: Session, experiment_id: str) -> float | None:
    """Seconds until the experiment's last cohort ends; see `eta`."""
    return eta(_cohorts(session, experiment_id))


def eta(cohorts: list[CohortProgress]) -> float | None:
    """Seconds until the last cohort ends: as many at once as run now, each at its own rate.

    A cohort that has not started is given the mean rate per trial of those that have. None while nothing is measured,
    and None while the work is paused (nobody knows when it goes on).
    """
    left = [cohort for cohort in cohorts if cohort.state not in FINAL]
    if not left:
        return 0.0
    measured = [cohort for cohort in cohorts if cohort.rate is not None]
    if not measured or all(cohort.state == "paused" for cohort in left):
        return None
    per_trial = sum(cohort.rate or 0.0 for cohort in measured) / sum(cohort.size for cohort in measured)
    lanes = max(1, sum(cohort.state == "running" for cohort in left))
    times = [
        (cohort.epochs - max(0, cohort.last_epoch)) * (per_trial * cohort.size if cohort.rate is None else cohort.rate)
        for cohort in left
    ]
    return max(*times, sum(times) / lanes)


def _cohorts(session: Session, experiment_id: str) -> list[CohortProgress]:
    query = select(CohortRow.state, CohortRow.size, CohortRow.epochs, CohortRow.last_epoch, CohortRow.seconds_per_epoch)
    return [CohortProgress(*row) for row in session.execute(query.where(CohortRow.experiment_id == experiment_id))]
