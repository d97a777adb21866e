"""What holds whatever was killed, cut or lost: the invariants I1 to I10, read from a database, files and processes.

    I1   every trial that was accepted is final, or paused
    I2   no cohort runs on a lease that ended more than `SLACK_SECONDS` ago
    I3   a trial has each epoch from 0 to its last exactly once, at every metric, as rows or as curves and not as both
    I4   the numbers are those of an undisturbed run
    I5   no attempt has stored an epoch that another had stored before, or after a later attempt had begun to store
    I6   attempts count from 1, each has one row, and each that is over has an outcome; the one that is done is the last
    I7   events count from 1 without a gap; the last of a final experiment, and no other of it, is `done`
    I8   every checkpoint row has its file, with its digest; two rows name one file only after a split
    I9   no child lives whose worker does not
    I10  what has succeeded has all its epochs, or has diverged

`breaches` reads; it changes nothing and may be called while workers run. I1 and I4 are asked of what is over.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.clock import CLOCK
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
from services.states import FINAL, FINAL_TRIAL
from services.trials.rows import TrialColumns, read_rows

SLACK_SECONDS = 2.0
LOOKS = 20
"""A checkpoint is replaced between a look at its row and one at its file: a row that stays is looked at again."""

Curves = Mapping[str, NDArray[np.float64]]
"""One trial's metrics by name, from epoch 0."""
Reference = Callable[[TrialRow, int], Curves]
"""What an undisturbed run stores for a trial whose last epoch is this."""


@dataclass(frozen=True)
class Breach:
    """An invariant that does not hold, and for what."""

    invariant: str
    detail: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}"


def breaches(
    database: Database,
    artifacts: Path | None = None,
    *,
    over: Collection[str] = (),
    reference: Reference | None = None,
    slack: float = SLACK_SECONDS,
) -> list[Breach]:
    """Every breach of I1 to I8 and I10.

    Args:
        database: read in one snapshot.
        artifacts: the folder of the files; None leaves I8 to its rows.
        over: experiments that are over, of which I1 and I4 are asked.
        reference: the numbers of an undisturbed run; None leaves I4 out.
        slack: for I2.
    """
    violations: list[Breach] = []
    with database.read() as session:
        cohorts = {row.id: row for row in session.scalars(select(CohortRow))}
        trials = list(session.scalars(select(TrialRow)))
        experiments = list(session.scalars(select(ExperimentRow)))
        columns = read_rows(session, [trial.id for trial in trials])
        own = [trial for trial in trials if trial.experiment_id in set(over)]
        events = _events(session)
        violations += _over(experiments, cohorts, own, over)
        violations += _leases(session, cohorts, slack)
        violations += _epochs(session, trials, columns)
        violations += _numbers(own, columns, reference)
        violations += _stored_once(cohorts, events)
        violations += _attempts(session, cohorts)
        violations += _dense(experiments, events)
        violations += _checkpoint_rows(session, cohorts)
        violations += _complete(cohorts, trials)
    return violations + (_files(database, artifacts) if artifacts is not None else [])


def orphans(mark: tuple[str, str], workers: Iterable[int]) -> list[Breach]:
    """I9: processes with this variable in their environment, and a worker's, that no living worker has started."""
    living = {pid for pid in workers if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"}
    violations = []
    for process in psutil.process_iter():
        try:
            variables = process.environ()
            parents = {parent.pid for parent in process.parents()}
        except psutil.Error:
            continue
        ours = "FIRSTLIGHT_WORKER" in variables and variables.get(mark[0]) == mark[1]
        if ours and process.status() != "zombie" and not parents & living:
            violations.append(Breach("I9", f"process {process.pid} has no worker"))
    return violations


def _over(
    experiments: Sequence[ExperimentRow],
    cohorts: Mapping[str, CohortRow],
    trials: Sequence[TrialRow],
    over: Collection[str],
) -> Iterator[Breach]:
    present = {row.id for row in experiments}
    for lost in sorted(set(over) - present):
        yield Breach("I1", f"experiment {lost} is not there any more")
    ended = ("paused", *FINAL)
    for row in [*experiments, *cohorts.values()]:
        owner = row.id if isinstance(row, ExperimentRow) else row.experiment_id
        if owner in over and row.state not in ended:
            yield Breach("I1", f"{row.id} is {row.state}")
    for trial in trials:
        if trial.state not in ("paused", *FINAL_TRIAL):
            yield Breach("I1", f"trial {trial.id} is {trial.state}")
    counts = Counter(trial.experiment_id for trial in trials)
    for row in experiments:
        if row.id in over and counts[row.id] != row.trial_count:
            yield Breach("I1", f"{row.id} has {counts[row.id]} trials and not {row.trial_count}")


def _leases(session: Session, cohorts: Mapping[str, CohortRow], slack: float) -> Iterator[Breach]:
    now = session.execute(select(CLOCK)).scalar_one()
    for cohort in cohorts.values():
        late = now - cohort.lease_expires_at
        if cohort.state == "running" and late > slack:
            yield Breach("I2", f"{cohort.id} runs on a lease that ended {late:.1f} s ago")
        if cohort.state != "running" and cohort.lease_owner is not None:
            yield Breach("I2", f"{cohort.id} is {cohort.state} and leased to {cohort.lease_owner}")


def _epochs(session: Session, trials: Sequence[TrialRow], columns: Mapping[str, TrialColumns]) -> Iterator[Breach]:
    rows = set(session.scalars(select(EpochRow.trial_id).distinct()))
    packed = defaultdict(set)
    for trial_id, values in session.execute(select(CurveRow.trial_id, CurveRow.values)):
        packed[trial_id].add(len(values))
    for both in sorted(rows & packed.keys()):
        yield Breach("I3", f"trial {both} has rows and curves")
    for uneven in sorted(trial_id for trial_id, lengths in packed.items() if len(lengths) > 1):
        yield Breach("I3", f"trial {uneven} has curves of different lengths")
    for trial in trials:
        there = columns[trial.id].epochs.tolist() if trial.id in columns else []
        if there != list(range(len(there))):
            yield Breach("I3", f"trial {trial.id} has the epochs {there[:20]}")
        elif there and there[-1] != trial.epochs_done:
            yield Breach("I3", f"trial {trial.id} ends with epoch {there[-1]} and says {trial.epochs_done}")


def _numbers(
    trials: Sequence[TrialRow], columns: Mapping[str, TrialColumns], reference: Reference | None
) -> Iterator[Breach]:
    if reference is None:
        return
    for trial in trials:
        there = columns.get(trial.id)
        last = -1 if there is None else int(there.epochs[-1])
        for name, expected in reference(trial, last).items():
            stored = np.empty(0) if there is None else there.metrics.get(name, np.full(last + 1, np.nan))
            if not np.array_equal(stored, expected, equal_nan=True):
                yield Breach("I4", f"{name} of trial {trial.id} (seed {trial.seed}) is not that of an undisturbed run")


def _events(session: Session) -> dict[str, list[EventRow]]:
    by_experiment = defaultdict(list)
    for event in session.scalars(select(EventRow).order_by(EventRow.experiment_id, EventRow.seq)):
        by_experiment[event.experiment_id].append(event)
    return by_experiment


def _stored_once(cohorts: Mapping[str, CohortRow], events: Mapping[str, Sequence[EventRow]]) -> Iterator[Breach]:
    """Each epoch event goes on where the cohort stood; a part begins where the whole stood, a retry anew."""
    for experiment, timeline in events.items():
        last: dict[str, int] = {}
        for event in timeline:
            if event.type == "state" and event.payload.get("previous") == "failed":
                # What failed has begun again; the others are final and store nothing.
                last = dict.fromkeys(cohorts, -1)
            if event.type != "epoch":
                continue
            cohort_id, first, to = (event.payload[name] for name in ("cohort_id", "from", "epoch"))
            stood = last.get(cohort_id, _inherited(cohorts, timeline, cohort_id))
            if first != stood + 1 or to < first:
                yield Breach(
                    "I5", f"{experiment} event {event.seq}: {cohort_id} stood at {stood}, {first} to {to} came"
                )
            last[cohort_id] = to
        for cohort_id, epoch in last.items():
            stands = cohorts[cohort_id].last_epoch if cohort_id in cohorts else epoch
            if stands != epoch and cohorts[cohort_id].experiment_id == experiment and epoch >= 0:
                yield Breach("I5", f"{cohort_id} stands at {stands}, its events at {epoch}")


def _inherited(cohorts: Mapping[str, CohortRow], timeline: Sequence[EventRow], cohort_id: str) -> int:
    """Where a cohort stood before its own first epoch event: at -1, or where that which it was split off stood."""
    cohort = cohorts.get(cohort_id)
    if cohort is None or cohort.parent_id is None:
        return -1
    before = [
        event.payload["epoch"]
        for event in timeline
        if event.type == "epoch"
        and event.payload["cohort_id"] == cohort.parent_id
        and event.seq <= (cohort.parent_seq or 0)
    ]
    return before[-1] if before else _inherited(cohorts, timeline, cohort.parent_id)


def _attempts(session: Session, cohorts: Mapping[str, CohortRow]) -> Iterator[Breach]:
    by_cohort = defaultdict(list)
    for row in session.scalars(select(AttemptRow).order_by(AttemptRow.cohort_id, AttemptRow.attempt)):
        by_cohort[row.cohort_id].append(row)
    for cohort in cohorts.values():
        rows = by_cohort[cohort.id]
        numbers = [row.attempt for row in rows]
        if numbers != list(range(1, cohort.attempt + 1)):
            yield Breach("I6", f"{cohort.id} is at attempt {cohort.attempt} and has {numbers}")
            continue
        for row in rows:
            runs = cohort.state == "running" and row.attempt == cohort.attempt
            if (row.outcome is None) is not runs or (row.ended_at is None) is not runs:
                yield Breach("I6", f"attempt {row.attempt} of {cohort.id}, which is {cohort.state}: {row.outcome}")
            if row.outcome in ("done", "cancelled") and row.attempt != cohort.attempt:
                yield Breach("I6", f"attempt {row.attempt} of {cohort.id} was {row.outcome}, {cohort.attempt} followed")
        if cohort.state == "succeeded" and not (rows and rows[-1].outcome == "done"):
            yield Breach("I6", f"{cohort.id} has succeeded by no attempt")


def _dense(experiments: Sequence[ExperimentRow], events: Mapping[str, Sequence[EventRow]]) -> Iterator[Breach]:
    for row in experiments:
        timeline = events.get(row.id, ())
        numbers = [event.seq for event in timeline]
        if numbers != list(range(1, row.event_seq + 1)):
            yield Breach("I7", f"{row.id} has had {row.event_seq} events and has {numbers[:20]}")
        # After a `done` only a retry goes on, and it says so first.
        for event, following in pairwise(timeline):
            retried = following.type == "state" and following.payload.get("previous") in FINAL
            if event.type == "done" and not retried:
                yield Breach("I7", f"{row.id}: {following.type} follows done")
        last = timeline[-1] if timeline else None
        ends_with_done = last is not None and last.type == "done" and last.payload == {"state": row.state}
        if ends_with_done is not (row.state in FINAL):
            yield Breach("I7", f"{row.id} is {row.state}, its last event is {last and (last.type, last.payload)}")


def _checkpoint_rows(session: Session, cohorts: Mapping[str, CohortRow]) -> Iterator[Breach]:
    rows = list(session.scalars(select(CheckpointRow).order_by(CheckpointRow.cohort_id, CheckpointRow.epoch)))
    for path, count in Counter(row.path for row in rows).items():
        if count > 1 and any(row.slots is None for row in rows if row.path == path):
            yield Breach("I8", f"{path} is named by {count} rows, and not as the file of a whole and its parts")
    attempts: dict[str, int] = {}
    for row in rows:
        cohort = cohorts[row.cohort_id]
        if cohort.state in FINAL:
            yield Breach("I8", f"{cohort.id} is {cohort.state} and has a checkpoint of epoch {row.epoch}")
        if row.epoch > cohort.last_epoch:
            yield Breach("I8", f"{cohort.id} stands at {cohort.last_epoch} and has a checkpoint of epoch {row.epoch}")
        if row.slots is None and not attempts.get(row.cohort_id, 0) <= row.attempt <= cohort.attempt:
            yield Breach("I5", f"{row.path} of attempt {row.attempt} follows one of a later attempt")
        attempts[row.cohort_id] = row.attempt


def _complete(cohorts: Mapping[str, CohortRow], trials: Sequence[TrialRow]) -> Iterator[Breach]:
    succeeded = {trial.cohort_id for trial in trials if trial.state == "succeeded"}
    for cohort in cohorts.values():
        if cohort.state == "succeeded" and cohort.last_epoch != cohort.epochs and cohort.id in succeeded:
            yield Breach("I10", f"{cohort.id} has succeeded with epoch {cohort.last_epoch} of {cohort.epochs}")
    for trial in trials:
        cohort = cohorts[trial.cohort_id]
        if trial.state == "succeeded" and trial.epochs_done != cohort.epochs:
            yield Breach("I10", f"trial {trial.id} has succeeded with epoch {trial.epochs_done} of {cohort.epochs}")


def _files(database: Database, artifacts: Path) -> list[Breach]:
    wrong: list[Breach] = []
    for _ in range(LOOKS):
        with database.read() as session:
            rows = session.execute(select(CheckpointRow.path, CheckpointRow.sha256).distinct()).all()
        wrong = [Breach("I8", f"{path} {why}") for path, digest in rows if (why := _wrong(artifacts / path, digest))]
        if not wrong:
            break
    return wrong


def _wrong(path: Path, digest: str) -> str | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if hashlib.sha256(content).hexdigest() == digest else "is not the file that was recorded"
