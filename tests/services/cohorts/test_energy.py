"""Energy over attempts, interruptions and splits. On both databases."""

import pytest
from sqlalchemy import select

from services.child_protocol import Energy
from services.cohorts import claim as claims
from services.cohorts.commit import Outcome, commit_epochs
from services.cohorts.endings import finish, release
from services.cohorts.failure import Failure, fail
from services.db.database import Database
from services.db.tables import CohortRow, TrialRow
from tests.support.experiments import make_experiment, message

TTL = 30.0
CPU = "cpu_time_estimate"


def take(database: Database) -> claims.Claim:
    with database.write() as session:
        taken = claims.claim(session, "w1", TTL)
    assert taken is not None
    return taken


def commit(database: Database, taken: claims.Claim, first: int, to: int, joules: float, method: str = CPU) -> Outcome:
    report = message(first, to, [trial.seed for trial in taken.trials])
    report["energy"] = Energy(joules=joules, method=method)
    with database.write() as session:
        return commit_epochs(session, taken.cohort_id, taken.attempt, report, TTL).outcome


def trials(database: Database) -> list[tuple[float | None, str | None]]:
    with database.read() as session:
        rows = session.scalars(select(TrialRow).order_by(TrialRow.position))
        return [(row.energy_joules, row.energy_method) for row in rows]


def test_the_energy_of_all_attempts_is_added_up_and_shared_equally(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (4,))
    taken = take(database)
    assert commit(database, taken, 0, 1, 3.0) is Outcome.COMMITTED
    # A message that is sent again, because its acknowledgement was lost, is not added again.
    assert commit(database, taken, 0, 1, 3.0) is Outcome.ALREADY
    with database.write() as session:
        assert release(session, taken.cohort_id, taken.attempt, energy=Energy(joules=0.5, method=CPU)) == "queued"
    taken = take(database)
    assert commit(database, taken, 2, 3, 4.0) is Outcome.COMMITTED
    with database.write() as session:
        assert finish(session, taken.cohort_id, taken.attempt, Energy(joules=0.5, method=CPU))
    assert trials(database) == [(pytest.approx(2.0), CPU)] * 4


def test_sums_over_methods_are_no_measurement(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (1,))
    taken = take(database)
    commit(database, taken, 0, 3, 3.0, "rapl_measured")
    with database.write() as session:
        finish(session, taken.cohort_id, taken.attempt, Energy(joules=1.0, method=CPU))
    assert trials(database) == [(4.0, "mixed")]


def test_the_parts_of_a_split_cohort_share_what_was_used_before(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (4,))
    taken = take(database)
    commit(database, taken, 0, 3, 8.0)
    with database.write() as session:
        assert fail(session, taken.cohort_id, taken.attempt, Failure("oom", "", slot=1)) == "split"
    with database.read() as session:
        joules = {row.size: row.energy_joules for row in session.scalars(select(CohortRow))}
    assert joules == {3: pytest.approx(6.0), 1: pytest.approx(2.0)}


def test_nothing_metered_is_null(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (1,))
    taken = take(database)
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, taken.attempt, message(0, 3, [0]), TTL)
        finish(session, taken.cohort_id, taken.attempt)
    assert trials(database) == [(None, None)]
