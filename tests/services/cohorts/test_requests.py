"""Cancel, pause, resume, retry: what each state allows, and how running cohorts hear of it. On both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from services.cohorts.claim import Claim, claim, desired
from services.cohorts.commit import commit_epochs
from services.cohorts.endings import finish, release
from services.cohorts.requests import request_cancel, request_pause, resume, retry_failed
from services.db.database import Database
from services.db.tables import CohortRow, ExperimentRow, TrialRow
from services.errors import ConflictError, NotFoundError
from services.trials.rows import read_rows
from tests.support.experiments import make_experiment, message

TTL = 30.0


def take(database: Database) -> Claim:
    with database.write() as session:
        taken = claim(session, "w", TTL)
    assert taken is not None
    return taken


def complete(database: Database, taken: Claim) -> None:
    with database.write() as session:
        report = message(taken.last_epoch + 1, taken.epochs, [trial.seed for trial in taken.trials])
        commit_epochs(session, taken.cohort_id, taken.attempt, report, TTL)
        finish(session, taken.cohort_id, taken.attempt)


def states(database: Database) -> tuple[str, list[str], list[str]]:
    with database.read() as session:
        cohorts = session.scalars(select(CohortRow.state).order_by(CohortRow.position))
        trials = session.scalars(select(TrialRow.state).order_by(TrialRow.position))
        return session.scalars(select(ExperimentRow.state)).one(), list(cohorts), list(trials)


def test_cancel_of_what_waits_is_at_once_and_twice_is_once(database: Database, experiment: str) -> None:
    for _ in range(2):
        with database.write() as session:
            assert request_cancel(session, experiment) == "cancelled"
    assert states(database) == ("cancelled", ["cancelled"] * 2, ["cancelled"] * 4)
    with database.write() as session:
        assert claim(session, "w", TTL) is None


def test_cancel_of_what_runs_waits_for_the_child(database: Database, experiment: str) -> None:
    taken = take(database)
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, 1, message(0, 1, [0, 1]), TTL)
        assert request_cancel(session, experiment) == "running"
    assert states(database)[1] == ["running", "cancelled"]
    with database.read() as session:
        assert desired(session, taken.cohort_id, 1) == "cancel"
    with database.write() as session:
        assert release(session, taken.cohort_id, 1) == "cancelled"
    assert states(database) == ("cancelled", ["cancelled"] * 2, ["cancelled"] * 4)
    with database.read() as session:
        rows = read_rows(session, [trial.id for trial in taken.trials])
        assert [columns.epochs.tolist() for columns in rows.values()] == [[0, 1], [0, 1]]
        assert set(session.scalars(select(TrialRow.final))) == {None}


def test_what_finished_before_the_cancel_reached_it_has_succeeded(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (1,))
    taken = take(database)
    with database.write() as session:
        request_cancel(session, experiment)
    complete(database, taken)
    assert states(database) == ("succeeded", ["succeeded"], ["succeeded"])
    with database.write() as session, pytest.raises(ConflictError, match="already succeeded"):
        request_cancel(session, experiment)


def test_pause_and_resume(database: Database, experiment: str) -> None:
    taken = take(database)
    with database.write() as session:
        assert request_pause(session, experiment) == "running"
        assert request_pause(session, experiment) == "running"
    assert states(database) == ("running", ["running", "paused"], ["running"] * 2 + ["paused"] * 2)
    with database.write() as session:
        assert claim(session, "w", TTL) is None
        assert release(session, taken.cohort_id, 1) == "paused"
    assert states(database) == ("paused", ["paused"] * 2, ["paused"] * 4)
    with database.write() as session:
        assert resume(session, experiment) == "queued"
    assert states(database) == ("queued", ["queued"] * 2, ["queued"] * 4)
    complete(database, take(database))
    complete(database, take(database))
    assert states(database)[0] == "succeeded"


def test_resume_before_the_child_has_stopped_takes_the_pause_back(database: Database, experiment: str) -> None:
    taken = take(database)
    with database.write() as session:
        request_pause(session, experiment)
        assert resume(session, experiment) == "running"
    assert states(database)[1] == ["running", "queued"]
    with database.read() as session:
        assert desired(session, taken.cohort_id, 1) == "run"
    with database.write() as session:
        # The child had heard of the pause already and stopped: it is queued again, not paused.
        assert release(session, taken.cohort_id, 1) == "queued"


def test_an_experiment_whose_last_running_cohort_finishes_is_paused(database: Database, experiment: str) -> None:
    taken = take(database)
    with database.write() as session:
        request_pause(session, experiment)
    complete(database, taken)
    assert states(database)[:2] == ("paused", ["succeeded", "paused"])


def test_cancel_beats_pause(database: Database, experiment: str) -> None:
    with database.write() as session:
        assert request_pause(session, experiment) == "paused"
        assert request_cancel(session, experiment) == "cancelled"
    other = take_new(database)
    with database.write() as session:
        request_cancel(session, other)
        with pytest.raises(ConflictError, match="being cancelled"):
            request_pause(session, other)


def take_new(database: Database) -> str:
    with database.write() as session:
        experiment = make_experiment(session, (1,))
    take(database)
    return experiment


@pytest.mark.parametrize("what", [request_cancel, request_pause, resume, retry_failed])
def test_unknown_experiments(database: Database, what) -> None:  # type: ignore[no-untyped-def]
    with database.write() as session, pytest.raises(NotFoundError):
        what(session, "exp_" + "0" * 32)


def test_requests_that_the_state_forbids(database: Database, experiment: str) -> None:
    with database.write() as session:
        with pytest.raises(ConflictError, match="only a paused one"):
            resume(session, experiment)
        with pytest.raises(ConflictError, match="only a failed one"):
            retry_failed(session, experiment)
    complete(database, take(database))
    complete(database, take(database))
    with database.write() as session:
        for what in (request_cancel, request_pause, resume, retry_failed):
            with pytest.raises(ConflictError, match="succeeded"):
                what(session, experiment)


def test_claims_are_unique_among_threads(database: Database) -> None:
    count = 60
    with database.write() as session:
        for _ in range(count // 10):
            make_experiment(session, (1,) * 10)

    def work(number: int) -> list[str]:
        mine = []
        while True:
            taken = database.transact(lambda session: claim(session, f"w{number}", TTL))
            if taken is None:
                return mine
            assert taken.attempt == 1
            mine.append(taken.cohort_id)

    with ThreadPoolExecutor(6) as pool:
        claimed = [cohort for part in pool.map(work, range(6)) for cohort in part]
    assert len(claimed) == len(set(claimed)) == count


def test_requests_race_with_claims_and_finishes(database: Database) -> None:
    """Cancels, pauses and resumes from threads, while others claim and finish: everything ends, nothing twice."""
    with database.write() as session:
        experiments = [make_experiment(session, (1, 1, 1)) for _ in range(6)]

    def train(_: int) -> None:
        while (taken := database.transact(lambda session: claim(session, "w", TTL))) is not None:
            report = message(0, 3, [trial.seed for trial in taken.trials])

            def store(session, taken=taken, report=report) -> None:  # type: ignore[no-untyped-def]
                commit_epochs(session, taken.cohort_id, taken.attempt, report, TTL)

            database.transact(store)
            wish = None
            with database.read() as session:
                wish = desired(session, taken.cohort_id, taken.attempt)
            end = finish if wish == "run" else release
            database.transact(lambda session, taken=taken, end=end: end(session, taken.cohort_id, taken.attempt))

    def ask(number: int) -> None:
        for what in (request_pause, resume, request_cancel if number % 2 else request_pause, resume):
            try:
                database.transact(lambda session, what=what: what(session, experiments[number]))
            except ConflictError:
                continue

    with ThreadPoolExecutor(9) as pool:
        jobs = [pool.submit(train, i) for i in range(3)] + [pool.submit(ask, i) for i in range(6)]
        for job in jobs:
            job.result()
    for experiment in experiments:
        try:
            with database.write() as session:
                resume(session, experiment)
        except ConflictError:
            pass
    train(0)
    with database.read() as session:
        for row in session.scalars(select(ExperimentRow)):
            ends = set(session.scalars(select(CohortRow.state).where(CohortRow.experiment_id == row.id)))
            assert ends <= {"succeeded", "cancelled"}
            assert row.state == ("cancelled" if "cancelled" in ends else "succeeded")
