"""Read trials: one trained network each, with the state of its cohort around it."""

import re
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import CohortRow, TrialRow
from services.errors import NotFoundError

ID = re.compile(r"trl_[0-9a-f]{32}")


class TrialCohort(BaseModel):
    """The cohort a trial trains in."""

    id: str
    size: int


class Trial(BaseModel):
    """One arm with one seed: one trained network, with what came of it."""

    id: str
    experiment_id: str
    arm: dict[str, Any] = Field(description="Each axis with its canonical value.")
    label: str
    seed: int
    state: str
    epochs_done: int
    final: dict[str, Any] | None = Field(description="The last epoch row.")
    best: dict[str, Any] | None = Field(description="The epoch row with the lowest validation loss.")
    diverged: dict[str, Any] | None = Field(description="Epoch and layer at which the numbers stopped being finite.")
    error: dict[str, Any] | None
    attempt: int
    device: str | None
    duration_seconds: float | None
    energy_joules: float | None
    energy_method: str | None
    cohort: TrialCohort


def page(
    session: Session,
    experiment_id: str,
    limit: int,
    after: int | None = None,
    *,
    state: str | None = None,
    arm: str | None = None,
) -> tuple[list[Trial], int | None]:
    """One page of an experiment's trials in the order of the grid.

    Returns:
        The trials, and the position of the last one when more follow.
    """
    query = (
        select(TrialRow, CohortRow)
        .join(CohortRow, CohortRow.id == TrialRow.cohort_id)
        .where(TrialRow.experiment_id == experiment_id)
        .order_by(TrialRow.position)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(TrialRow.position > after)
    if state is not None:
        query = query.where(TrialRow.state == state)
    if arm is not None:
        query = query.where(TrialRow.label == arm)
    rows = session.execute(query).all()
    more = len(rows) > limit
    rows = rows[:limit]
    return [_trial(trial, cohort) for trial, cohort in rows], rows[-1][0].position if more else None


def get(session: Session, trial_id: str) -> Trial:
    """Find a trial.

    Raises:
        NotFoundError: no such trial.
    """
    trial = session.get(TrialRow, trial_id) if ID.fullmatch(trial_id) else None
    if trial is None:
        raise NotFoundError(f"there is no trial {trial_id[:60]!r}")
    cohort = session.get_one(CohortRow, trial.cohort_id)
    return _trial(trial, cohort)


def _trial(row: TrialRow, cohort: CohortRow) -> Trial:
    return Trial(
        id=row.id,
        experiment_id=row.experiment_id,
        arm=row.arm,
        label=row.label,
        seed=row.seed,
        state=row.state,
        epochs_done=row.epochs_done,
        final=row.final,
        best=row.best,
        diverged=row.diverged,
        error=row.error,
        attempt=cohort.attempt,
        device=row.device,
        duration_seconds=row.duration_seconds,
        energy_joules=row.energy_joules,
        energy_method=row.energy_method,
        cohort=TrialCohort(id=cohort.id, size=cohort.size),
    )
