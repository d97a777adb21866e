"""Budgets, backoff and splits: a guilty trial ends alone, its neighbours finish. On both databases."""

import pytest
from sqlalchemy import select, update

from services.child_protocol import CheckpointReport, Saved
from services.cohorts.claim import Claim, claim
from services.cohorts.commit import Outcome, commit_checkpoint, commit_epochs
from services.cohorts.endings import finish
from services.cohorts.events import members
from services.cohorts.failure import BACKOFF_CAP_SECONDS, Failure, backoff, fail, spread
from services.cohorts.leftovers import unneeded
from services.cohorts.requests import request_cancel, retry_failed
from services.cohorts.sweep import sweep
from services.db.database import Database
from services.db.tables import CohortRow, EpochRow, ExperimentRow, TrialRow
from services.trials.rows import read_rows
from tests.support.experiments import make_experiment, message

TTL = 30.0
CRASH = Failure("crash", "signal 9")


def next_claim(database: Database) -> Claim | None:
    """Claim without waiting for any backoff."""
    with database.write() as session:
        session.execute(update(CohortRow).values(available_at=0.0))
        return claim(session, "w", TTL)


def finish_all(database: Database, guilty: set[int], failure: Failure, names_culprit: bool = False) -> int:
    """Run everything; an attempt with a guilty seed in it fails. Returns how many attempts failed."""
    failures = 0
    while (taken := next_claim(database)) is not None:
        seeds = [trial.seed for trial in taken.trials]
        bad = [slot for slot, seed in enumerate(seeds) if seed in guilty]
        with database.write() as session:
            if bad:
                failures += 1
                reported_failure = Failure(failure.code, failure.detail, bad[0] if names_culprit else None)
                assert fail(session, taken.cohort_id, taken.attempt, reported_failure) is not None
            else:
                report = message(taken.last_epoch + 1, taken.epochs, seeds)
                assert commit_epochs(session, taken.cohort_id, taken.attempt, report, TTL).outcome is Outcome.COMMITTED
                assert finish(session, taken.cohort_id, taken.attempt)
    return failures


@pytest.mark.parametrize(("names_culprit", "most"), [(False, 2 + 4), (True, 2)])
def test_the_guilty_trial_ends_alone_and_its_neighbours_finish(
    database: Database, names_culprit: bool, most: int
) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (16,))
    assert finish_all(database, {5}, CRASH, names_culprit) <= most
    with database.read() as session:
        states = {trial.seed: trial.state for trial in session.scalars(select(TrialRow))}
        assert states == {seed: "failed" if seed == 5 else "succeeded" for seed in range(16)}
        row = session.get_one(ExperimentRow, experiment)
        assert row.state == "failed"
        assert row.error == {"code": "crash", "detail": "signal 9", "failed_trials": 1}
        for cohort in session.scalars(select(CohortRow)):
            mine = session.scalars(select(TrialRow).where(TrialRow.cohort_id == cohort.id)).all()
            assert sorted(trial.slot for trial in mine) == list(range(cohort.size))


def test_out_of_memory_splits_at_once_and_is_tried_once_alone(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (2,))
    assert finish_all(database, {0}, Failure("oom", "no memory")) == 2
    with database.read() as session:
        assert {trial.seed: trial.state for trial in session.scalars(select(TrialRow))} == {0: "failed", 1: "succeeded"}


def test_bad_data_fail_everything_at_once(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (4, 4))
    assert finish_all(database, set(range(8)), Failure("dataset_unavailable", "no file")) == 2
    with database.read() as session:
        assert session.get_one(ExperimentRow, experiment).state == "failed"
        assert {trial.error["code"] for trial in session.scalars(select(TrialRow)) if trial.error} == {
            "dataset_unavailable"
        }


def test_a_split_keeps_stored_epochs_and_what_the_events_meant(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (4,), epochs=6)
    taken = next_claim(database)
    assert taken is not None
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, taken.attempt, message(0, 2, [0, 1, 2, 3], energy=8.0), TTL)
        seq = session.execute(select(ExperimentRow.event_seq)).scalar_one()
        everybody = [trial.id for trial in taken.trials]
        assert fail(session, taken.cohort_id, taken.attempt, Failure("error", "x", slot=2)) == "split"
    with database.read() as session:
        assert members(session, taken.cohort_id, seq) == everybody
        assert members(session, taken.cohort_id, seq + 1) == [trial.id for trial in taken.trials if trial.slot != 2]
    parts = [next_claim(database), next_claim(database)]
    assert [part.last_epoch for part in parts if part] == [2, 2]
    for part in parts:
        assert part is not None
        seeds = [trial.seed for trial in part.trials]
        with database.write() as session:
            commit_epochs(session, part.cohort_id, part.attempt, message(3, 6, seeds, energy=3.0), TTL)
            finish(session, part.cohort_id, part.attempt)
    with database.read() as session:
        for columns in read_rows(session, everybody).values():
            assert columns.epochs.tolist() == list(range(7))
        shares = session.scalars(select(TrialRow.energy_joules).order_by(TrialRow.position)).all()
        assert shares == [3.0, 3.0, 5.0, 3.0]  # a quarter of 8 J each, then 3 J for one and 3 J for three


def test_losses_have_their_own_budget_and_progress_restores_it(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (1,), epochs=50)
    for number in range(1, 5):
        assert next_claim(database) is not None
        with database.write() as session:
            session.execute(update(CohortRow).values(lease_expires_at=1.0))
            sweep(session)
            row = session.scalars(select(CohortRow)).one()
            assert (row.state, row.losses, row.failures) == ("queued", number, 0)
    taken = next_claim(database)
    assert taken is not None
    file: CheckpointReport = {"epoch": 0, "path": "p", "sha256": "0" * 64, "bytes": 1}
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, taken.attempt, message(0, 0, [0], checkpoint=file), TTL)
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
        sweep(session)
        assert session.scalars(select(CohortRow)).one().losses == 1
    for _ in range(4):
        assert next_claim(database) is not None
        with database.write() as session:
            session.execute(update(CohortRow).values(lease_expires_at=1.0))
            sweep(session)
    assert next_claim(database) is None
    with database.read() as session:
        row = session.get_one(ExperimentRow, experiment)
        assert row.state == "failed"
        assert row.error is not None
        assert row.error["code"] == "too_many_losses"


def saved(epoch: int) -> CheckpointReport:
    return {"epoch": epoch, "path": f"cohorts/c/a1/epoch-{epoch}.npz", "sha256": "0" * 64, "bytes": 1}


def test_progress_restores_the_budget_of_failures_too(database: Database) -> None:
    """A child may be killed any number of times in a long life, if each time it got on a little."""
    with database.write() as session:
        make_experiment(session, (1,), epochs=50)
    for epoch in range(6):
        taken = next_claim(database)
        assert taken is not None
        with database.write() as session:
            commit_epochs(
                session, taken.cohort_id, taken.attempt, message(epoch, epoch, [0], checkpoint=saved(epoch)), TTL
            )
            assert fail(session, taken.cohort_id, taken.attempt, CRASH) == "queued"
    taken = next_claim(database)
    assert taken is not None
    with database.write() as session:  # and then none any more
        assert fail(session, taken.cohort_id, taken.attempt, CRASH) == "failed"


def test_the_parts_of_a_cohort_go_on_from_its_checkpoints(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (5,), epochs=9)
    taken = next_claim(database)
    assert taken is not None
    whole = taken.cohort_id
    with database.write() as session:
        for epoch in (1, 3):
            report = message(epoch - 1, epoch, range(5), checkpoint=saved(epoch))
            commit_epochs(session, whole, taken.attempt, report, TTL)
        assert fail(session, whole, taken.attempt, Failure("error", "x", slot=2)) == "split"
    rest = next_claim(database)
    assert rest is not None
    assert [(file.epoch, file.slots) for file in rest.checkpoints] == [(3, [0, 1, 3, 4]), (1, [0, 1, 3, 4])]
    with database.write() as session:  # the places of a part of a part are those in the file too
        assert fail(session, rest.cohort_id, rest.attempt, Failure("error", "x", slot=2)) == "split"
    parts = [next_claim(database) for _ in range(3)]
    assert [[trial.seed for trial in part.trials] for part in parts if part] == [[0, 1, 4], [2], [3]]
    for part in parts:
        assert part is not None
        seeds = [trial.seed for trial in part.trials]
        assert [(file.epoch, file.slots) for file in part.checkpoints] == [(3, seeds), (1, seeds)]


def test_a_shared_file_goes_with_the_last_part_that_names_it(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (2,), epochs=9)
    taken = next_claim(database)
    assert taken is not None
    whole = taken.cohort_id
    file: CheckpointReport = {**saved(1), "path": f"cohorts/{whole}/a1/epoch-1.npz"}
    with database.write() as session:
        commit_epochs(session, whole, taken.attempt, message(0, 1, [0, 1], checkpoint=file), TTL)
        assert fail(session, whole, taken.attempt, Failure("oom", "x")) == "split"
    stale: list[str] = []
    for _ in range(2):
        part = next_claim(database)
        assert part is not None
        with database.write() as session:
            for epoch in (2, 3):
                seeds = [part.trials[0].seed]
                own: CheckpointReport = {**saved(epoch), "path": f"{part.cohort_id}/{epoch}"}
                report = message(epoch, epoch, seeds, checkpoint=own)
                stale += commit_epochs(session, part.cohort_id, part.attempt, report, TTL).stale
            commit_epochs(session, part.cohort_id, part.attempt, message(4, 9, seeds), TTL)
            if part.cohort_id == whole:
                assert stale == []
                assert finish(session, whole, part.attempt)
                assert unneeded(session, [whole, "coh_unknown"]) == ([], ["coh_unknown"])
    assert stale == [file["path"]]
    with database.read() as session:
        assert unneeded(session, [whole]) == ([whole], [])


def test_a_shared_file_goes_when_both_parts_have_got_on_inside_the_epoch(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (2,), epochs=9)
    taken = next_claim(database)
    assert taken is not None
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, 1, message(0, 1, [0, 1], checkpoint=saved(1)), TTL)
        assert fail(session, taken.cohort_id, 1, Failure("oom", "x")) == "split"
    stale: list[tuple[str, ...]] = []
    for _ in range(2):
        part = next_claim(database)
        assert part is not None
        own: CheckpointReport = {**saved(1), "path": f"{part.cohort_id}/epoch-1-batches-4.npz"}
        with database.write() as session:
            report: Saved = {"type": "checkpoint", "file": own}
            stale.append(commit_checkpoint(session, part.cohort_id, part.attempt, report, TTL).stale)
    assert stale == [(), (saved(1)["path"],)]


def test_a_damaged_checkpoint_is_dropped(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (1,), epochs=5)
    taken = next_claim(database)
    assert taken is not None
    file: CheckpointReport = {"epoch": 1, "path": "p", "sha256": "0" * 64, "bytes": 1}
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, 1, message(0, 1, [0], checkpoint=file), TTL)
        assert fail(session, taken.cohort_id, 1, Failure("checkpoint_mismatch", "damaged")) == "queued"
    again = next_claim(database)
    assert again is not None
    assert again.checkpoints == ()
    assert again.last_epoch == 1


def test_a_failure_of_a_cancelled_cohort_is_a_cancel(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (2,))
    taken = next_claim(database)
    assert taken is not None
    with database.write() as session:
        assert request_cancel(session, experiment) == "running"
        assert fail(session, taken.cohort_id, taken.attempt, CRASH) == "cancelled"
    with database.read() as session:
        assert session.get_one(ExperimentRow, experiment).state == "cancelled"


def test_retry_reruns_only_what_failed(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (4,))
    finish_all(database, {1}, CRASH)
    with database.write() as session:
        before = {trial.id: trial.finished_at for trial in session.scalars(select(TrialRow))}
        assert retry_failed(session, experiment) == 1
        row = session.get_one(ExperimentRow, experiment)
        assert (row.state, row.error, row.finished_at) == ("queued", None, None)
    assert finish_all(database, set(), CRASH) == 0
    with database.read() as session:
        assert session.get_one(ExperimentRow, experiment).state == "succeeded"
        for trial in session.scalars(select(TrialRow)):
            assert trial.error is None
            assert (trial.finished_at == before[trial.id]) == (trial.seed != 1)
        assert session.scalars(select(EpochRow)).all() == []


def test_backoff_is_nothing_at_first_then_jittered_and_capped() -> None:
    cohort = CohortRow(id="coh_x", attempt=1)
    assert backoff(cohort, 1) == 0.0
    waits = []
    for attempt in range(1, 400):
        cohort.attempt = attempt
        waits.append(backoff(cohort, 50))
        assert 0 <= backoff(cohort, 2) < 4.0
    assert 0 <= min(waits) < 0.05 * BACKOFF_CAP_SECONDS
    assert 0.95 * BACKOFF_CAP_SECONDS < max(waits) < BACKOFF_CAP_SECONDS
    assert abs(sum(waits) / len(waits) - BACKOFF_CAP_SECONDS / 2) < 0.1 * BACKOFF_CAP_SECONDS
    assert spread("a", 1) == spread("a", 1)
    assert spread("a", 1) != spread("b", 1)
