"""The invariants can fail: each is broken by hand, and named. What is whole, in whatever state, breaks none."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Delete, Insert, Update, delete, func, insert, literal, select, update

from services.child_protocol import CheckpointReport
from services.cohorts.claim import Claim, claim
from services.cohorts.commit import commit_epochs
from services.cohorts.endings import finish, release
from services.cohorts.failure import Failure, fail, hand_back
from services.cohorts.requests import request_cancel, request_pause, resume, retry_failed
from services.db.database import Database
from services.db.tables import (
    AttemptRow,
    CheckpointRow,
    CohortRow,
    CurveRow,
    EpochRow,
    EventRow,
    ExperimentRow,
    TrialRow,
)
from tests.faults.invariants import Breach, Curves, breaches, orphans
from tests.support.experiments import loss, make_experiment, message
from tests.support.workers import eventually

TTL = 1000.0
EPOCHS = 3


def reference(trial: TrialRow, last: int) -> Curves:
    values = np.array([loss(trial.seed, epoch) for epoch in range(last + 1)])
    return {"val_loss": values, "train_loss": np.array([np.nan, *values[1:]])}


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    return tmp_path / "home" / "artifacts"


def take(database: Database) -> Claim:
    with database.write() as session:
        taken = claim(session, "w", TTL)
    assert taken is not None
    return taken


def store(database: Database, artifacts: Path, taken: Claim, first: int, to: int, *, save: bool = False) -> None:
    saved: CheckpointReport | None = None
    if save:
        path = Path("cohorts") / taken.cohort_id / f"a{taken.attempt}" / f"epoch-{to}.npz"
        (artifacts / path).parent.mkdir(parents=True, exist_ok=True)
        (artifacts / path).write_bytes(content := f"{path}".encode())
        saved = {"epoch": to, "path": str(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    report = message(first, to, [trial.seed for trial in taken.trials], checkpoint=saved)
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, taken.attempt, report, TTL)


@pytest.fixture
def over(database: Database, artifacts: Path) -> str:
    """An experiment with a cohort that has succeeded at its second attempt, and one that is paused at epoch 1."""
    with database.write() as session:
        experiment = make_experiment(session, (2, 1), EPOCHS)
    first = take(database)
    store(database, artifacts, first, 0, 1, save=True)
    with database.write() as session:
        hand_back(session, first.cohort_id, first.attempt, "lost", "")
    again = take(database)
    assert again.cohort_id == first.cohort_id
    other = take(database)
    store(database, artifacts, again, 2, EPOCHS, save=True)
    store(database, artifacts, other, 0, 0, save=True)
    store(database, artifacts, other, 1, 1, save=True)
    with database.write() as session:
        request_pause(session, experiment)
        release(session, other.cohort_id, other.attempt)
        finish(session, again.cohort_id, again.attempt)
    return experiment


def names(violations: list[Breach]) -> set[str]:
    return {breach.invariant for breach in violations}


def test_what_is_whole_breaks_none(database: Database, artifacts: Path, over: str) -> None:
    with database.write() as session:
        running = make_experiment(session, (2,), EPOCHS)
    taken = take(database)
    store(database, artifacts, taken, 0, 2, save=True)
    assert breaches(database, artifacts, over=[over], reference=reference) == []
    with database.write() as session:
        resume(session, over)
    taken = take(database)
    store(database, artifacts, taken, 2, EPOCHS)
    with database.write() as session:
        finish(session, taken.cohort_id, taken.attempt)
        request_cancel(session, running)
    assert breaches(database, artifacts, over=[over], reference=reference) == []


def test_a_split_and_a_retry_break_none(database: Database, artifacts: Path) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (4,), EPOCHS)
    while True:
        with database.write() as session:
            session.execute(update(CohortRow).values(available_at=0.0))
            taken = claim(session, "w", TTL)
        if taken is None:
            break
        if taken.last_epoch < 0:
            store(database, artifacts, taken, 0, 1, save=True)
        with database.write() as session:
            fail(session, taken.cohort_id, taken.attempt, Failure("error", "made to"))
        assert breaches(database, artifacts, over=[], reference=reference) == []
    with database.write() as session:
        assert retry_failed(session, experiment) == 4
    while True:
        with database.write() as session:
            taken = claim(session, "w", TTL)
        if taken is None:
            break
        store(database, artifacts, taken, 0, EPOCHS)
        with database.write() as session:
            finish(session, taken.cohort_id, taken.attempt)
    assert breaches(database, artifacts, over=[experiment], reference=reference) == []


SUCCEEDED = select(CohortRow.id).where(CohortRow.state == "succeeded").scalar_subquery()
PAUSED = select(CohortRow.id).where(CohortRow.state == "paused").scalar_subquery()
PACKED = select(TrialRow.id).where(TrialRow.cohort_id == SUCCEEDED, TrialRow.slot == 0).scalar_subquery()
UNPACKED = select(TrialRow.id).where(TrialRow.cohort_id == PAUSED).scalar_subquery()
LAST_EVENT = select(func.max(EventRow.seq)).scalar_subquery()
FIRST_EPOCHS = select(func.min(EventRow.seq)).where(EventRow.type == "epoch").scalar_subquery()
WRONG: dict[str, tuple[str, Update | Delete | Insert]] = {
    "a trial that runs": ("I1", update(TrialRow).where(TrialRow.cohort_id == PAUSED).values(state="running")),
    "a cohort that waits": ("I1", update(CohortRow).where(CohortRow.state == "paused").values(state="queued")),
    "a trial too few": ("I1", update(ExperimentRow).values(trial_count=ExperimentRow.trial_count + 1)),
    "a lease that is over": ("I2", update(CohortRow).where(CohortRow.state == "paused").values(state="running")),
    "a lease that is left": ("I2", update(CohortRow).where(CohortRow.state == "paused").values(lease_owner="w")),
    "a gap": ("I3", delete(EpochRow).where(EpochRow.epoch == 0)),
    "an epoch missing": ("I3", delete(EpochRow).where(EpochRow.epoch == 1)),
    "rows beside curves": ("I3", insert(EpochRow).from_select(["trial_id", "epoch"], select(PACKED, literal(0)))),
    "a short curve": (
        "I3",
        update(CurveRow).where(CurveRow.trial_id == PACKED, CurveRow.metric == "val_loss").values(values=bytes(16)),
    ),
    "another number": ("I4", update(EpochRow).where(EpochRow.epoch == 1).values(val_loss=0.5)),
    "no number": ("I4", update(EpochRow).where(EpochRow.epoch == 1).values(val_loss=None)),
    "a doubled epoch": (
        "I5",
        update(EventRow)
        .where(EventRow.seq == LAST_EVENT - 1)
        .values(type="epoch", payload={"cohort_id": "coh_x", "from": 1, "epoch": 1}),
    ),
    "an epoch untold": ("I5", update(EventRow).where(EventRow.seq == FIRST_EPOCHS).values(type="progress")),
    "a file of a zombie": ("I5", update(CheckpointRow).where(CheckpointRow.epoch == 0).values(attempt=2)),
    "an attempt gone": ("I6", delete(AttemptRow).where(AttemptRow.attempt == 1, AttemptRow.cohort_id == SUCCEEDED)),
    "no outcome": ("I6", update(AttemptRow).where(AttemptRow.outcome == "lost").values(outcome=None)),
    "two that are done": ("I6", update(AttemptRow).where(AttemptRow.outcome == "lost").values(outcome="done")),
    "done by nobody": ("I6", update(AttemptRow).where(AttemptRow.outcome == "done").values(outcome="lost")),
    "an event gone": ("I7", delete(EventRow).where(EventRow.seq == 2)),
    "done before the end": ("I7", update(EventRow).where(EventRow.seq == 2).values(type="done")),
    "a final state untold": ("I7", update(ExperimentRow).values(state="succeeded")),
    "a digest": ("I8", update(CheckpointRow).where(CheckpointRow.epoch == 1).values(sha256="0" * 64)),
    "a file gone": ("I8", update(CheckpointRow).where(CheckpointRow.epoch == 1).values(path="cohorts/none.npz")),
    "one file twice": ("I8", update(CheckpointRow).values(path="cohorts/one.npz")),
    "a file of what is final": (
        "I8",
        update(CheckpointRow).where(CheckpointRow.epoch == 1).values(cohort_id=SUCCEEDED),
    ),
    "a file of the future": ("I8", update(CheckpointRow).where(CheckpointRow.epoch == 1).values(epoch=2)),
    "a cohort too short": ("I10", update(CohortRow).where(CohortRow.state == "succeeded").values(epochs=EPOCHS + 1)),
    "a trial too short": ("I10", update(TrialRow).where(TrialRow.state == "succeeded").values(epochs_done=2)),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", WRONG)
def test_each_is_seen_to_be_broken(database: Database, artifacts: Path, over: str, what: str) -> None:
    name, statement = WRONG[what]
    with database.write() as session:
        session.execute(statement.execution_options(synchronize_session=False))
    violations = breaches(database, artifacts, over=[over], reference=reference)
    assert name in names(violations), violations


def test_an_experiment_that_is_gone_is_lost(database: Database, artifacts: Path, over: str) -> None:
    with database.write() as session:
        session.execute(delete(ExperimentRow))
    assert names(breaches(database, artifacts, over=[over])) == {"I1"}


def test_a_damaged_file_is_seen(database: Database, artifacts: Path, over: str) -> None:
    saved: Callable[[], list[Path]] = lambda: [path for path in artifacts.rglob("*.npz") if "epoch-1" in path.name]  # noqa: E731
    for path in saved():
        path.write_bytes(b"other")
    assert names(breaches(database, artifacts, over=[over])) == {"I8"}


def test_a_child_without_its_worker_is_an_orphan(tmp_path: Path) -> None:
    mark = ("XDG_CACHE_HOME", str(tmp_path))
    environment = {**os.environ, "FIRSTLIGHT_WORKER": "wrk", mark[0]: mark[1]}
    child = subprocess.Popen([sys.executable, "-c", "input()"], env=environment, stdin=subprocess.PIPE)
    try:
        eventually(lambda: names(orphans(mark, [])) == {"I9"}, "the child to be seen")
        assert orphans(mark, [os.getpid()]) == []
        assert orphans((mark[0], "elsewhere"), []) == []
    finally:
        child.communicate()
    assert orphans(mark, []) == []
