"""How an experiment was carried out: its cohorts, their attempts and devices, and what they took."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.db.tables import AttemptRow, CohortRow


@dataclass(frozen=True)
class Run:
    """How the experiment was carried out."""

    cohorts: int
    attempts: int
    devices: tuple[str, ...]
    seconds: float
    joules: float | None
    energy_method: str | None


def load_run(session: Session, experiment_id: str) -> Run:
    """Read the cohorts of an experiment; `joules` is None unless the energy of every one of them is known."""
    cohorts = session.execute(
        select(CohortRow.device, CohortRow.duration_seconds, CohortRow.energy_joules, CohortRow.energy_method).where(
            CohortRow.experiment_id == experiment_id
        )
    ).all()
    attempts = session.scalar(
        select(func.count())
        .select_from(AttemptRow)
        .join(CohortRow, CohortRow.id == AttemptRow.cohort_id)
        .where(CohortRow.experiment_id == experiment_id)
    )
    joules = [float(row.energy_joules) for row in cohorts if row.energy_joules is not None]
    methods = sorted({str(row.energy_method) for row in cohorts if row.energy_method})
    return Run(
        cohorts=len(cohorts),
        attempts=int(attempts or 0),
        devices=tuple(sorted({str(row.device) for row in cohorts if row.device})),
        seconds=sum(float(row.duration_seconds or 0.0) for row in cohorts),
        joules=sum(joules) if len(joules) == len(cohorts) and joules else None,
        energy_method=", ".join(methods) or None,
    )
