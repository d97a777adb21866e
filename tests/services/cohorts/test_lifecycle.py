"""A cohort's life from claim to end: what is stored, what is told, and what a zombie may not do. On both databases."""

import numpy as np
import pytest
from sqlalchemy import func, select, update

from services.child_protocol import CheckpointReport, Energy, Saved
from services.cohorts import claim as claims
from services.cohorts.commit import Commit, Outcome, OutOfOrderError, commit_checkpoint, commit_epochs, started
from services.cohorts.endings import UnfinishedError, finish, release
from services.cohorts.events import members
from services.cohorts.sweep import reap, sweep
from services.cohorts.turns import waiting
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
from services.trials.rows import read_rows
from tests.support.experiments import loss, make_experiment, message, seeds_of

TTL = 30.0


def take(database: Database, worker: str = "w1") -> claims.Claim:
    with database.write() as session:
        taken = claims.claim(session, worker, TTL)
    assert taken is not None
    return taken


def commit(database: Database, taken: claims.Claim, first: int, to: int, **more: object) -> Outcome:
    seeds = [trial.seed for trial in taken.trials]
    with database.write() as session:
        return commit_epochs(session, taken.cohort_id, taken.attempt, message(first, to, seeds, **more), TTL).outcome  # type: ignore[arg-type]


def run_through(database: Database, taken: claims.Claim) -> None:
    assert commit(database, taken, taken.last_epoch + 1, taken.epochs) is Outcome.COMMITTED
    with database.write() as session:
        assert finish(session, taken.cohort_id, taken.attempt)


def expire(database: Database, cohort_id: str) -> None:
    with database.write() as session:
        session.execute(update(CohortRow).where(CohortRow.id == cohort_id).values(lease_expires_at=1.0))


def told(database: Database, experiment_id: str) -> list[tuple[int, str, dict]]:
    with database.read() as session:
        rows = session.scalars(select(EventRow).where(EventRow.experiment_id == experiment_id).order_by(EventRow.seq))
        return [(row.seq, row.type, row.payload) for row in rows]


def test_the_whole_way(database: Database, experiment: str) -> None:
    first = take(database)
    assert first.attempt == 1
    assert first.last_epoch == -1
    assert first.checkpoints == ()
    assert [trial.slot for trial in first.trials] == [0, 1]
    with database.write() as session:
        assert started(session, first.cohort_id, 1, "cpu", "d" * 64) is Outcome.COMMITTED
    assert commit(database, first, 0, 0) is Outcome.COMMITTED
    assert commit(database, first, 1, 3, energy=4.0) is Outcome.COMMITTED
    with database.write() as session:
        assert finish(session, first.cohort_id, 1, Energy(joules=6.0, method="measured"))
    second = take(database)
    assert second.cohort_id != first.cohort_id
    run_through(database, second)
    with database.write() as session:
        assert claims.claim(session, "w1", TTL) is None

    with database.read() as session:
        row = session.get_one(ExperimentRow, experiment)
        assert row.state == "succeeded"
        assert row.started_at is not None
        assert row.finished_at is not None
        assert row.dataset_digest == "d" * 64
        trials = list(session.scalars(select(TrialRow).order_by(TrialRow.position)))
        assert {trial.state for trial in trials} == {"succeeded"}
        assert {trial.epochs_done for trial in trials} == {3}
        values = [loss(trials[0].seed, epoch) for epoch in range(4)]
        assert trials[0].final == {
            "epoch": 3,
            "train_loss": values[3],
            "val_loss": values[3],
            "val_loss_batch": values[3],
        }
        best = int(np.argmin(values))
        assert trials[0].best is not None
        assert trials[0].best["epoch"] == best
        assert trials[0].best["val_loss"] == values[best]
        assert trials[0].duration_seconds == pytest.approx(0.4)
        assert trials[0].energy_joules == 5.0
        assert trials[0].energy_method == "measured"
        assert trials[2].energy_joules is None
        assert session.scalar(select(func.count()).select_from(EpochRow)) == 0
        assert session.scalar(select(func.count()).select_from(CurveRow)) == 4 * 4
        read = read_rows(session, [trial.id for trial in trials])
        assert read[trials[1].id].epochs.tolist() == [0, 1, 2, 3]
        assert read[trials[1].id].metrics["val_loss"].tolist() == [loss(trials[1].seed, epoch) for epoch in range(4)]
        assert np.isnan(read[trials[1].id].metrics["train_loss"]).tolist() == [True, False, False, False]

    events = told(database, experiment)
    assert [seq for seq, _, _ in events] == list(range(1, len(events) + 1))
    assert [kind for _, kind, _ in events] == [
        "state", "state", "epoch", "progress", "epoch", "progress", "epoch", "progress", "state", "progress", "done",
    ]  # fmt: skip
    assert events[-1][2] == {"state": "succeeded"}
    assert events[-2][2]["progress"] == 1.0
    assert events[-2][2]["eta_seconds"] == 0.0
    assert events[-2][2]["trials"] == {"total": 4, "succeeded": 4}
    assert events[4][2] == {"cohort_id": first.cohort_id, "from": 1, "epoch": 3, "epochs": 3, "trials": 2}


def test_a_zombie_writes_nothing(database: Database, experiment: str) -> None:
    zombie = take(database)
    assert commit(database, zombie, 0, 1) is Outcome.COMMITTED
    expire(database, zombie.cohort_id)
    with database.write() as session:
        assert sweep(session) == 1
        assert sweep(session) == 0
    heir = take(database, "w2")
    assert heir.cohort_id == zombie.cohort_id
    assert heir.attempt == 2
    assert heir.last_epoch == 1
    before = told(database, experiment)
    assert commit(database, zombie, 2, 2) is Outcome.FENCED
    with database.write() as session:
        assert claims.renew(session, zombie.cohort_id, 1, TTL) is None
        assert not finish(session, zombie.cohort_id, 1)
        assert release(session, zombie.cohort_id, 1) is None
        assert started(session, zombie.cohort_id, 1, "cpu", "x") is Outcome.FENCED
    with database.read() as session:
        assert claims.desired(session, zombie.cohort_id, 1) is None
        assert claims.desired(session, zombie.cohort_id, 2) == "run"
        assert session.scalar(select(func.count()).select_from(EpochRow)) == 4
    assert told(database, experiment) == before
    run_through(database, heir)
    with database.read() as session:
        attempts = list(session.scalars(select(AttemptRow).order_by(AttemptRow.attempt)))
        assert [(row.attempt, row.outcome) for row in attempts] == [(1, "lost"), (2, "done")]


def test_a_lost_acknowledgement_is_told_from_a_gap(database: Database, experiment: str) -> None:
    taken = take(database)
    assert commit(database, taken, 0, 1) is Outcome.COMMITTED
    assert commit(database, taken, 0, 1) is Outcome.ALREADY
    with pytest.raises(OutOfOrderError, match="do not follow the last stored epoch, 1"):
        commit(database, taken, 3, 3)
    with pytest.raises(OutOfOrderError, match="do not follow"):
        commit(database, taken, 1, 2)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EpochRow)) == 4


def test_done_with_epochs_missing_is_refused(database: Database, experiment: str) -> None:
    taken = take(database)
    commit(database, taken, 0, 2)
    with database.write() as session, pytest.raises(UnfinishedError, match="after epoch 2 of 3"):
        finish(session, taken.cohort_id, taken.attempt)


def test_divergence_is_a_result(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (3,), epochs=5)
    taken = take(database)
    assert commit(database, taken, 0, 1) is Outcome.COMMITTED
    assert commit(database, taken, 2, 4, diverged={1: 3}) is Outcome.COMMITTED
    with database.read() as session:
        trial = session.scalars(select(TrialRow).where(TrialRow.slot == 1)).one()
        assert (trial.state, trial.diverged, trial.epochs_done) == ("diverged", {"epoch": 3, "layer": "dense_1"}, 3)
        columns = read_rows(session, [trial.id])[trial.id]
        assert columns.epochs.tolist() == [0, 1, 2, 3]
        assert np.isnan(columns.metrics["val_loss"]).tolist() == [False, False, False, True]
    assert commit(database, taken, 5, 5) is Outcome.COMMITTED
    with database.write() as session:
        finish(session, taken.cohort_id, taken.attempt)
    with database.read() as session:
        trial = session.scalars(select(TrialRow).where(TrialRow.slot == 1)).one()
        assert trial.state == "diverged"
        assert trial.final == {"epoch": 3, "train_loss": None, "val_loss": None, "val_loss_batch": None}
        assert trial.best is not None
        assert trial.best["epoch"] == int(np.argmin([loss(1, epoch) for epoch in range(3)]))
        columns = read_rows(session, [trial.id])[trial.id]
        assert columns.epochs.tolist() == [0, 1, 2, 3]
        assert session.get_one(ExperimentRow, experiment).state == "succeeded"


def test_all_diverged_ends_early(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (2,), epochs=9)
    taken = take(database)
    commit(database, taken, 0, 2, diverged={0: 1, 1: 2})
    with database.write() as session:
        assert finish(session, taken.cohort_id, taken.attempt)
    with database.read() as session:
        assert session.get_one(ExperimentRow, experiment).state == "succeeded"
        assert {trial.state for trial in session.scalars(select(TrialRow))} == {"diverged"}


def test_checkpoints_keep_the_two_newest_and_go_at_the_end(database: Database, experiment: str) -> None:
    taken = take(database)

    def file(epoch: int) -> CheckpointReport:
        return {"epoch": epoch, "path": f"c/e{epoch}.npz", "sha256": "0" * 64, "bytes": 3_000_000_000}

    seeds = [trial.seed for trial in taken.trials]
    stale: list[str] = []
    for epoch in range(3):
        with database.write() as session:
            told_now = message(epoch, epoch, seeds, checkpoint=file(epoch))
            stale += commit_epochs(session, taken.cohort_id, taken.attempt, told_now, TTL).stale
    assert stale == ["c/e0.npz"]
    expire(database, taken.cohort_id)
    with database.write() as session:
        sweep(session)
    heir = take(database)
    assert [(saved.epoch, saved.path) for saved in heir.checkpoints] == [(2, "c/e2.npz"), (1, "c/e1.npz")]
    with database.write() as session:  # it is the worker that sees which files are whole
        assert session.get_one(AttemptRow, (heir.cohort_id, 2)).from_epoch == -1
        assert started(session, heir.cohort_id, 2, "cpu", "d" * 64, 1) is Outcome.COMMITTED
        assert session.get_one(AttemptRow, (heir.cohort_id, 2), populate_existing=True).from_epoch == 1
    run_through(database, heir)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(CheckpointRow)) == 0


def test_a_file_from_further_on_in_an_epoch_takes_the_place_of_the_earlier_one(
    database: Database, experiment: str
) -> None:
    taken = take(database)
    seeds = [trial.seed for trial in taken.trials]

    def send(epoch: int, name: str, joules: float = 1.0) -> Commit:
        file: CheckpointReport = {"epoch": epoch, "path": name, "sha256": "0" * 64, "bytes": 1}
        energy: Energy = {"joules": joules, "method": "cpu_time_estimate"}
        with database.write() as session:
            report: Saved = {"type": "checkpoint", "file": file, "energy": energy}
            return commit_checkpoint(session, taken.cohort_id, taken.attempt, report, TTL)

    def rows() -> list[tuple[int, str]]:
        with database.read() as session:
            query = select(CheckpointRow.epoch, CheckpointRow.path).order_by(CheckpointRow.epoch)
            return [(epoch, path) for epoch, path in session.execute(query)]

    with pytest.raises(OutOfOrderError, match="a checkpoint of epoch 0 came after epoch -1"):
        send(0, "too soon")
    whole: CheckpointReport = {"epoch": 1, "path": "whole", "sha256": "0" * 64, "bytes": 1}
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, taken.attempt, message(0, 1, seeds, checkpoint=whole), TTL)
        session.get_one(CohortRow, taken.cohort_id).failures = 1
    events_before = told(database, experiment)
    done = send(1, "a")
    assert (done.outcome, done.stale) == (Outcome.COMMITTED, ("whole",))
    assert send(1, "a") == Commit(Outcome.ALREADY), "its acknowledgement got lost: nothing is counted twice"
    assert send(1, "b").stale == ("a",)
    assert rows() == [(1, "b")]
    assert send(0, "earlier").stale == (), "of an epoch that is computed again"
    assert rows() == [(0, "earlier"), (1, "b")]
    with database.read() as session:
        cohort = session.get_one(CohortRow, taken.cohort_id)
        assert (cohort.last_epoch, cohort.failures, cohort.energy_joules) == (1, 0, 3.0)
    assert told(database, experiment) == events_before, "nobody is told of what no reader sees"
    expire(database, taken.cohort_id)
    with database.write() as session:
        sweep(session)
    assert send(1, "late").outcome is Outcome.FENCED
    heir = take(database)
    assert [(saved.epoch, saved.path) for saved in heir.checkpoints] == [(1, "b"), (0, "earlier")]


def test_a_drain_costs_no_budget_and_the_cohort_is_due_at_once(database: Database, experiment: str) -> None:
    cohorts: set[str] = set()
    for number in range(1, 8):
        taken = take(database)
        cohorts.add(taken.cohort_id)
        assert taken.attempt == number
        with database.write() as session:
            assert release(session, taken.cohort_id, taken.attempt) == "queued"
    with database.read() as session:
        (cohort,) = cohorts
        row = session.get_one(CohortRow, cohort)
        assert (row.failures, row.losses, row.interruptions) == (0, 0, 7)
        assert session.get_one(ExperimentRow, experiment).state == "running"
        assert {trial.state for trial in session.scalars(select(TrialRow))} == {"queued"}


def test_reap_takes_only_from_the_dead(database: Database, experiment: str) -> None:
    one, two = take(database, "alive"), take(database, "dead")
    with database.write() as session:
        assert reap(session, []) == 0
        assert reap(session, ["dead", "never seen"]) == 1
        assert waiting(session)
    with database.read() as session:
        assert session.get_one(CohortRow, one.cohort_id).state == "running"
        assert session.get_one(CohortRow, two.cohort_id).losses == 1


def test_other_data_than_before_is_noticed(database: Database, experiment: str) -> None:
    one, two = take(database), take(database)
    with database.write() as session:
        assert started(session, one.cohort_id, 1, "cpu", "first") is Outcome.COMMITTED
        assert started(session, two.cohort_id, 1, "cpu", "second") is None


def test_priority_before_all_then_experiments_in_turn_each_by_position(database: Database) -> None:
    with database.write() as session:
        first = make_experiment(session, (1, 1))
    with database.write() as session:
        second = make_experiment(session, (1,))
    with database.write() as session:
        urgent = make_experiment(session, (1,))
        session.execute(update(ExperimentRow).where(ExperimentRow.id == urgent).values(priority=-1))
    order = [take(database).experiment_id for _ in range(4)]
    assert order == [urgent, first, second, first]
    with database.read() as session:
        places = session.scalars(select(CohortRow.position).where(CohortRow.experiment_id == first))
        assert sorted(places) == [0, 1]


def test_members_and_seeds(database: Database, experiment: str) -> None:
    taken = take(database)
    with database.read() as session:
        assert members(session, taken.cohort_id, 1) == [trial.id for trial in taken.trials]
        assert seeds_of(session, taken.cohort_id) == [trial.seed for trial in taken.trials]
