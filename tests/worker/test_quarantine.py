"""A row that cannot be read costs its own cohort, with a reason, and nobody else."""

from collections import Counter
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import OperationalError

from services.cohorts.claim import Claim, claim
from services.cohorts.commit import commit_epochs
from services.cohorts.endings import finish
from services.cohorts.packing import pack_one
from services.cohorts.requests import retry_failed
from services.cohorts.sweep import sweep
from services.db.database import Database
from services.db.tables import AttemptRow, CohortRow, CurveRow, EpochRow, EventRow, ExperimentRow, TrialRow
from services.db.unit_of_work import is_transient, is_unreadable
from services.errors import ConflictError
from tests.support.experiments import make_experiment, message
from worker.slot import Slot

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TTL = 1000.0
DAMAGE = {
    "spec": "UPDATE experiments SET spec = '{broken' WHERE id = :experiment",
    "spec that is no text": "UPDATE experiments SET spec = CAST(x'7bff' AS TEXT) WHERE id = :experiment",
    "arm": "UPDATE trials SET arm = 'broken' WHERE experiment_id = :experiment",
    "error": "UPDATE cohorts SET error = '{' WHERE experiment_id = :experiment",
    "time": "UPDATE cohorts SET created_at = '0001 once upon a time' WHERE experiment_id = :experiment",
    "experiment's time": "UPDATE experiments SET created_at = 'once', started_at = 'once' WHERE id = :experiment",
}
ENDLESS_TIME = "UPDATE cohorts SET created_at = '-infinity' WHERE experiment_id = :experiment"
"""PostgreSQL refuses text that is no JSON and no time; this time is none to Python."""


def damage(database: Database, statement: str, experiment: str) -> None:
    with database.write() as session:
        session.execute(text(statement), {"experiment": experiment})


def two(database: Database) -> tuple[str, str]:
    """A queued experiment, and another behind it."""
    with database.write() as session:
        return make_experiment(session, (2,)), make_experiment(session, (2,))


def facts(database: Database, experiment: str) -> tuple[str, str, set[str]]:
    """The states of the experiment, its cohort and its trials."""
    with database.read() as session:
        return (
            session.scalars(select(ExperimentRow.state).where(ExperimentRow.id == experiment)).one(),
            session.scalars(select(CohortRow.state).where(CohortRow.experiment_id == experiment)).one(),
            set(session.scalars(select(TrialRow.state).where(TrialRow.experiment_id == experiment))),
        )


def events(database: Database, experiment: str) -> list[str]:
    with database.read() as session:
        rows = session.scalars(select(EventRow).where(EventRow.experiment_id == experiment).order_by(EventRow.seq))
        timeline = list(rows)
    assert [event.seq for event in timeline] == list(range(1, len(timeline) + 1))
    return [event.type for event in timeline]


def work_off(slot: Slot, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the lane look for work until it finds none; which experiments it would have trained."""
    experiments: list[str] = []

    def supervise(taken: Claim, _since: float) -> None:
        experiments.append(taken.experiment_id)

    monkeypatch.setattr(slot, "_supervise", supervise)
    for _ in range(10):
        if not slot._work():
            return experiments
    pytest.fail("there is always more work")


@SQLITE
@pytest.mark.parametrize("what", [name for name in DAMAGE if name != "experiment's time"])
def test_a_bad_row_at_the_head_of_the_queue_stops_nobody(
    database: Database, slot: Slot, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    bad, good = two(database)
    damage(database, DAMAGE[what], bad)
    assert work_off(slot, monkeypatch) == [good]
    assert facts(database, bad) == ("failed", "failed", {"failed"})
    with database.read() as session:
        error = session.scalars(select(ExperimentRow.error).where(ExperimentRow.id == bad)).one()
    assert error is not None
    assert (error["code"], error["failed_trials"]) == ("unreadable", 2)
    assert "a stored row cannot be read" in error["detail"]
    assert events(database, bad) == ["state", "state", "progress", "done"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_so_it_is_on_postgresql(database: Database, slot: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = two(database)
    damage(database, ENDLESS_TIME, bad)
    assert work_off(slot, monkeypatch) == [good]
    assert facts(database, bad) == ("failed", "failed", {"failed"})


@SQLITE
def test_what_a_claim_does_not_need_may_be_unreadable(
    database: Database, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = two(database)
    damage(database, DAMAGE["experiment's time"], bad)
    assert work_off(slot, monkeypatch) == [good, bad]  # a time that is none comes after all others


@SQLITE
@pytest.mark.parametrize("what", ["error", "time"])
def test_a_bad_row_rolls_no_sweep_back(database: Database, what: str) -> None:
    experiments = [*two(database), *two(database)]
    with database.write() as session:
        for _ in experiments:
            assert claim(session, "w", TTL) is not None
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
    for bad in experiments[1:3]:
        damage(database, DAMAGE[what], bad)
    with database.write() as session:
        assert sweep(session) == 4
        assert sweep(session) == 0
    states = [facts(database, experiment)[:2] for experiment in experiments]
    assert states == [("running", "queued"), ("failed", "failed"), ("failed", "failed"), ("running", "queued")]
    with database.read() as session:
        outcomes = Counter(session.scalars(select(AttemptRow.outcome)))
    assert outcomes == {"failed": 2, "lost": 2}


MALFORMED: list[Any] = [{}, {"stopped": False}, [], 5, "round", {"stopped": False, "round": "one", "looks": 3}]


@pytest.mark.parametrize("rounds", MALFORMED, ids=repr)
def test_malformed_rounds_end_the_experiment_and_not_its_results(database: Database, rounds: Any) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (2,), epochs=3)
        session.execute(update(ExperimentRow).values(rounds=rounds))
        taken = claim(session, "w", TTL)
        assert taken is not None
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, taken.attempt, message(0, 3, [0, 1]), TTL)
        assert finish(session, taken.cohort_id, taken.attempt)
    assert facts(database, experiment) == ("failed", "succeeded", {"succeeded"})
    with database.read() as session:
        error, ended = session.execute(select(ExperimentRow.error, ExperimentRow.finished_at)).one()
    assert error is not None
    assert error["code"] == "rounds_unreadable"
    assert ended is not None
    assert events(database, experiment)[-1] == "done"
    if isinstance(rounds, dict):
        with database.write() as session, pytest.raises(ConflictError, match="rounds_unreadable"):
            retry_failed(session, experiment)


@SQLITE
def test_rounds_that_are_no_json_do_the_same(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (2,), epochs=3)
        taken = claim(session, "w", TTL)
        assert taken is not None
        commit_epochs(session, taken.cohort_id, taken.attempt, message(0, 3, [0, 1]), TTL)
    damage(database, "UPDATE experiments SET rounds = '{' WHERE id = :experiment", experiment)
    with database.write() as session:
        assert finish(session, taken.cohort_id, taken.attempt)
    assert facts(database, experiment) == ("failed", "succeeded", {"succeeded"})


@SQLITE
def test_a_stored_epoch_that_cannot_be_read_ends_its_cohort_alone(
    database: Database, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found when the curves are packed: the cohort would break off there again and again."""
    bad, good = two(database)

    def supervise(taken: Claim, _since: float) -> None:
        with database.write() as session:
            commit_epochs(session, taken.cohort_id, taken.attempt, message(0, 3, [0, 1]), TTL)
        if taken.experiment_id == bad:
            own = "UPDATE epoch_rows SET extra = '{' WHERE trial_id IN "
            damage(database, f"{own} (SELECT id FROM trials WHERE experiment_id = :experiment)", bad)
        with database.write() as session:
            finish(session, taken.cohort_id, taken.attempt)

    monkeypatch.setattr("worker.slot.REST_SECONDS", 0.0)
    monkeypatch.setattr(slot, "_supervise", supervise)
    assert [slot._work() for _ in range(3)] == [True, True, False]
    assert facts(database, bad) == ("failed", "failed", {"failed"})
    assert facts(database, good) == ("succeeded", "succeeded", {"succeeded"})
    passed_over: set[str] = set()
    with database.write() as session:
        last = session.scalars(select(TrialRow.id).where(TrialRow.experiment_id == good)).first()
        session.execute(delete(CurveRow).where(CurveRow.trial_id == last))
        session.add(EpochRow(trial_id=last, epoch=9, seconds=1.0))
    with database.write() as session:
        packed = {pack_one(session, passed_over) for _ in range(3)}
        assert pack_one(session, passed_over) is None
    assert last in packed
    assert packed == passed_over | {last}
    assert len(passed_over) == 2


def test_an_unreadable_row_is_not_tried_again_and_a_missing_column_is_no_row() -> None:
    with pytest.raises(orjson.JSONDecodeError) as broken:
        orjson.loads("{")
    assert is_unreadable(broken.value)
    undecoded = OperationalError("SELECT", {}, Exception("Could not decode to UTF-8 column 'spec' with text '{'"))
    assert (is_unreadable(undecoded), is_transient(undecoded)) == (True, False)
    other = OperationalError("SELECT", {}, Exception("no such column: cohorts.slots"))
    assert (is_unreadable(other), is_transient(other)) == (False, True)
