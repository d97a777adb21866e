"""How much of everything there is, in all workspaces: for readiness, measurements and the dashboard's workers."""

from dataclasses import dataclass

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from services.cohorts.workers import alive, trains_on
from services.db.base import now
from services.db.isolation import EVERY_WORKSPACE
from services.db.tables import CohortRow, ExperimentRow, TrialRow, WorkerRow


@dataclass(frozen=True)
class Population:
    """Counts by state, workers that can be had, and how long the oldest queued cohort has waited.

    `held` is the number of live workers that take no work because something is wrong, `problem` what one of them says
    of the reason; None when there is no such worker.
    """

    experiments: dict[str, int]
    cohorts: dict[str, int]
    trials: dict[str, int]
    workers: int
    slots: int
    held: int
    problem: str | None
    oldest_queued_seconds: float


def live_slots(session: Session, device: str | None = None) -> tuple[int, int]:
    """Workers that can be had, which are alive, not draining and without a problem, and their slots together.

    With a device, cpu or gpu, those that train on it.
    """
    suitable = true() if device is None else trains_on(device)
    count, slots = session.execute(
        select(func.count(), func.coalesce(func.sum(WorkerRow.slots), 0)).where(
            alive(), WorkerRow.problem.is_(None), suitable
        )
    ).one()
    return int(count), int(slots)


def no_worker(session: Session, device: str | None) -> list[str]:
    """A warning when nobody is there to run what asks for this device; it is kept until somebody is."""
    if live_slots(session, device)[0]:
        return []
    if device is None or not live_slots(session)[0]:
        return ["no worker is alive: the experiment waits until one starts"]
    return [f"no live worker trains on a {device}: the experiment waits until one does"]


def population(session: Session) -> Population:
    """Count."""
    workers, slots = live_slots(session)
    waiting = select(func.min(CohortRow.created_at)).where(CohortRow.state == "queued")
    oldest = session.scalar(waiting, execution_options=EVERY_WORKSPACE)
    problems = select(func.count(WorkerRow.problem), func.min(WorkerRow.problem)).where(alive())
    held, problem = session.execute(problems).one()
    return Population(
        experiments=_by_state(session, ExperimentRow),
        cohorts=_by_state(session, CohortRow),
        trials=_by_state(session, TrialRow),
        workers=workers,
        slots=slots,
        held=held,
        problem=problem,
        oldest_queued_seconds=0.0 if oldest is None else max(0.0, (now() - oldest).total_seconds()),
    )


def _by_state(session: Session, table: type[ExperimentRow] | type[CohortRow] | type[TrialRow]) -> dict[str, int]:
    counts = select(table.state, func.count()).group_by(table.state)
    return {row[0]: row[1] for row in session.execute(counts, execution_options=EVERY_WORKSPACE)}
