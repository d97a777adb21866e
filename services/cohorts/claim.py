"""Claim a queued cohort, keep its lease, and hear what is asked of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from services.cohorts.fence import hold, move_trials
from services.cohorts.origin import Origin, origin
from services.cohorts.quarantine import UnreadableError
from services.cohorts.settle import settle
from services.cohorts.turns import DEVICES, next_cohort, served
from services.db.base import now
from services.db.clock import CLOCK
from services.db.tables import AttemptRow, CheckpointRow, CohortRow, ExperimentRow, TrialRow
from services.db.unit_of_work import is_unreadable


@dataclass(frozen=True)
class ClaimedTrial:
    """One trial as the child needs it."""

    id: str
    slot: int
    arm: dict[str, Any]
    seed: int


@dataclass(frozen=True)
class SavedState:
    """A checkpoint; the path is relative to the artifact folder, `slots` are the trials' places in it (None: all)."""

    epoch: int
    path: str
    sha256: str
    slots: list[int] | None = None


@dataclass(frozen=True)
class Claim:
    """A cohort whose lease this worker holds.

    Attributes:
        attempt: the fencing token of every later write.
        last_epoch: the last stored epoch, -1 for none; later epochs are reported, earlier ones are not.
        checkpoints: the newest first; none is later than `last_epoch`.
        origin: the request that submitted the experiment.
        waited_seconds: since the cohort was made; None for a later claim than its first.
    """

    cohort_id: str
    experiment_id: str
    attempt: int
    epochs: int
    last_epoch: int
    spec: dict[str, Any]
    trials: tuple[ClaimedTrial, ...]
    checkpoints: tuple[SavedState, ...]
    origin: Origin = field(default_factory=Origin)
    waited_seconds: float | None = None

    @property
    def ids(self) -> dict[str, str | int]:
        """What every line of the log about this attempt carries."""
        named = {"experiment_id": self.experiment_id, "cohort_id": self.cohort_id, "attempt": self.attempt}
        return named if self.origin.request_id is None else {**named, "request_id": self.origin.request_id}


def claim(session: Session, worker_id: str, ttl: float, devices: Sequence[str] = DEVICES) -> Claim | None:
    """Take the cohort whose turn it is, raise its attempt and start its lease; None when there is none.

    Args:
        session: a writing session.
        worker_id: who claims.
        ttl: seconds until the lease ends.
        devices: what the worker trains on.

    Raises:
        UnreadableError: a row of this cohort cannot be read. Its turn is the next one until `quarantine`.
    """
    cohort_id = next_cohort(session, devices)
    if cohort_id is None:
        return None
    try:
        return _taken(session, cohort_id, worker_id, ttl)
    except Exception as error:
        if is_unreadable(error):
            raise UnreadableError(cohort_id, error) from error
        raise


def _taken(session: Session, cohort_id: str, worker_id: str, ttl: float) -> Claim:
    cohort = session.scalars(
        update(CohortRow)
        .where(CohortRow.id == cohort_id, CohortRow.state == "queued")
        .values(
            state="running",
            attempt=CohortRow.attempt + 1,
            lease_owner=worker_id,
            lease_expires_at=CLOCK + ttl,
            started_at=func.coalesce(CohortRow.started_at, now()),
        )
        .returning(CohortRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).one()
    move_trials(session, cohort.id, "running", started_at=func.coalesce(TrialRow.started_at, now()))
    saved = _checkpoints(session, cohort)
    session.execute(
        insert(AttemptRow).values(
            cohort_id=cohort.id,
            attempt=cohort.attempt,
            worker_id=worker_id,
        )
    )
    served(session, cohort.experiment_id)
    settle(session, cohort.experiment_id)
    return Claim(
        cohort_id=cohort.id,
        experiment_id=cohort.experiment_id,
        attempt=cohort.attempt,
        epochs=cohort.epochs,
        last_epoch=cohort.last_epoch,
        spec=session.execute(select(ExperimentRow.spec).where(ExperimentRow.id == cohort.experiment_id)).scalar_one(),
        trials=_trials(session, cohort.id),
        checkpoints=saved,
        origin=origin(session, cohort.experiment_id),
        waited_seconds=max(0.0, (now() - cohort.created_at).total_seconds()) if cohort.attempt == 1 else None,
    )


def renew(session: Session, cohort_id: str, attempt: int, ttl: float) -> str | None:
    """Prolong the lease and return what is asked (run, pause, cancel); None when the lease was lost."""
    cohort = hold(session, cohort_id, attempt, {"lease_expires_at": CLOCK + ttl})
    return None if cohort is None else cohort.desired


def desired(session: Session, cohort_id: str, attempt: int) -> str | None:
    """What is asked of this attempt, without writing; None when it is fenced."""
    query = select(CohortRow.desired).where(
        CohortRow.id == cohort_id, CohortRow.attempt == attempt, CohortRow.state == "running"
    )
    return session.execute(query).scalar_one_or_none()


def _trials(session: Session, cohort_id: str) -> tuple[ClaimedTrial, ...]:
    rows = session.execute(
        select(TrialRow.id, TrialRow.slot, TrialRow.arm, TrialRow.seed)
        .where(TrialRow.cohort_id == cohort_id)
        .order_by(TrialRow.slot)
    )
    return tuple(ClaimedTrial(*row) for row in rows)


def _checkpoints(session: Session, cohort: CohortRow) -> tuple[SavedState, ...]:
    rows = session.execute(
        select(CheckpointRow.epoch, CheckpointRow.path, CheckpointRow.sha256, CheckpointRow.slots)
        .where(CheckpointRow.cohort_id == cohort.id, CheckpointRow.epoch <= cohort.last_epoch)
        .order_by(CheckpointRow.epoch.desc())
    )
    return tuple(SavedState(*row) for row in rows)
