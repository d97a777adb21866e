"""When an attempt fails or is lost: try again, split the cohort until the guilty trial stands alone, or give up."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.cohorts.budgets import BACKOFF_CAP_SECONDS, BACKOFF_SECONDS, MAX_FAILURES, MAX_LOSSES
from services.cohorts.checkpoints import divide, keep_newest
from services.cohorts.endings import close, give_back
from services.cohorts.energy import share
from services.cohorts.fence import end_attempt, hold
from services.cohorts.settle import lock
from services.db.base import new_id
from services.db.tables import AttemptRow, CohortRow, TrialRow

HOPELESS = ("dataset_unavailable", "dataset_invalid", "dataset_changed")
"""Failures that no second attempt and no split can mend."""
RETURNS_COUNTED = 10
"""So many returns in a row bring the longest backoff; more need not be counted."""
DETAIL_LIMIT = 2000

Return = Literal["lost", "returned"]


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed. `slot` names the guilty trial where the child knows it."""

    code: str
    detail: str
    slot: int | None = None

    def payload(self) -> dict[str, Any]:
        """As stored in `error`."""
        return {"code": self.code, "detail": self.detail[:DETAIL_LIMIT]}


def fail(session: Session, cohort_id: str, attempt: int, failure: Failure) -> str | None:
    """The attempt failed by the experiment's own fault.

    Returns:
        What became of the cohort (queued, paused, split, failed, cancelled), or None when the attempt is fenced.
    """
    cohort = hold(session, cohort_id, attempt, {"failures": CohortRow.failures + 1, "error": failure.payload()})
    if cohort is None:
        return None
    end_attempt(session, cohort_id, attempt, "failed", {**failure.payload(), "slot": failure.slot})
    if cohort.desired == "cancel":
        return give_back(session, cohort, delay=0.0)
    if failure.code in HOPELESS:
        close(session, cohort, "failed", failure.payload())
        return "failed"
    if failure.code == "checkpoint_mismatch":
        keep_newest(session, cohort.id, count=0)  # the next attempt begins at the beginning
    guilty_known = failure.slot is not None and 0 <= failure.slot < cohort.size
    # A cohort that is too large for the memory will be so again: halves are tried at once.
    if cohort.size > 1 and (guilty_known or failure.code == "oom" or cohort.failures >= MAX_FAILURES):
        split(session, cohort, failure.slot if guilty_known else None)
        return "split"
    if cohort.failures >= MAX_FAILURES:
        close(session, cohort, "failed", failure.payload())
        return "failed"
    return give_back(session, cohort, delay=backoff(cohort, cohort.failures))


def lose(session: Session, cohort: CohortRow, detail: str) -> str:
    """The worker of a running cohort is gone; `cohort` is locked. Returns what became of it."""
    cohort.losses += 1
    session.flush()
    end_attempt(session, cohort.id, cohort.attempt, "lost", {"detail": detail})
    if cohort.losses >= MAX_LOSSES and cohort.desired != "cancel":
        error = {"code": "too_many_losses", "detail": f"its worker was lost {cohort.losses} times without progress"}
        close(session, cohort, "failed", error)
        return "failed"
    return give_back(session, cohort, delay=backoff(cohort, cohort.losses))


def hand_back(session: Session, cohort_id: str, attempt: int, outcome: Return, detail: str) -> str | None:
    """Give the cohort back for something that is no fault of the experiment: no budget is touched. The child has ended.

    `lost`: the lease could not be kept. `returned`: the worker had trouble of its own, with its folder or the database;
    the cohort waits longer each time that happens again.

    Returns:
        What became of the cohort (queued, paused, cancelled), or None when the attempt is fenced.
    """
    cohort = hold(session, cohort_id, attempt, {"interruptions": CohortRow.interruptions + 1})
    if cohort is None:
        return None
    end_attempt(session, cohort_id, attempt, outcome, {"detail": detail[:DETAIL_LIMIT]})
    again = 0 if outcome == "lost" else _returned(session, cohort_id)
    return give_back(session, cohort, delay=backoff(cohort, again))


def _returned(session: Session, cohort_id: str) -> int:
    """How many attempts of the cohort in a row, up to the last one, were returned."""
    latest = select(AttemptRow.outcome).where(AttemptRow.cohort_id == cohort_id).order_by(AttemptRow.attempt.desc())
    outcomes = session.scalars(latest.limit(RETURNS_COUNTED)).all()
    return next((place for place, outcome in enumerate(outcomes) if outcome != "returned"), len(outcomes))


def backoff(cohort: CohortRow, count: int) -> float:
    """Seconds to wait before attempt number `count + 1`: none after the first trouble, then full jitter."""
    if count <= 1:
        return 0.0
    return spread(cohort.id, cohort.attempt) * min(BACKOFF_CAP_SECONDS, BACKOFF_SECONDS * 2 ** (count - 1))


def spread(cohort_id: str, attempt: int) -> float:
    """A number in [0, 1) that differs between cohorts and attempts, so that they do not all come back at once."""
    digest = hashlib.sha256(f"{cohort_id}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split(session: Session, cohort: CohortRow, guilty_slot: int | None = None) -> CohortRow:
    """Cut a cohort in two and queue both parts; the part split off is returned.

    The first half stays, or, when the guilty trial is known, everybody else does. Epochs that are stored stay stored,
    and both parts go on from the checkpoints of the whole one, each with its own trials of them. A part that fails
    again before it has saved anything itself is split at once.
    """
    trials = list(
        session.scalars(
            select(TrialRow)
            .where(TrialRow.cohort_id == cohort.id)
            .order_by(TrialRow.slot)
            .execution_options(populate_existing=True)
        )
    )
    half = (len(trials) + 1) // 2
    leaving = trials[half:] if guilty_slot is None else [trials[guilty_slot]]
    gone = {trial.id for trial in leaving}
    staying = [trial for trial in trials if trial.id not in gone]
    events_so_far = lock(session, cohort.experiment_id).event_seq
    last = select(func.max(CohortRow.position)).where(CohortRow.experiment_id == cohort.experiment_id)
    other = CohortRow(
        id=new_id("coh"),
        experiment_id=cohort.experiment_id,
        position=session.execute(last).scalar_one() + 1,
        parent_id=cohort.id,
        parent_seq=events_so_far,
        size=len(leaving),
        epochs=cohort.epochs,
        state="running",
        desired=cohort.desired,
        priority=cohort.priority,
        failures=MAX_FAILURES - 1,
        last_epoch=cohort.last_epoch,
        duration_seconds=cohort.duration_seconds,
        seconds_per_epoch=None,
        created_at=cohort.created_at,
    )
    session.add(other)
    session.flush()
    divide(session, cohort.id, other.id, [trial.slot for trial in staying], [trial.slot for trial in leaving])
    for part, members in ((cohort, staying), (other, leaving)):
        for slot, trial in enumerate(members):
            trial.cohort_id, trial.slot = part.id, slot
    cohort.size, cohort.failures, cohort.seconds_per_epoch = len(staying), MAX_FAILURES - 1, None
    share(cohort, other)
    session.flush()
    give_back(session, other, delay=0.0)
    give_back(session, cohort, delay=0.0)
    return other
