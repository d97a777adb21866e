"""Whose turn it is between experiments, also for many who claim at once, and what a claim costs. On both databases."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Select, event, insert, select, text, update
from sqlalchemy.orm import Session

from services.cohorts.claim import claim
from services.cohorts.endings import release
from services.cohorts.requests import request_pause, resume
from services.cohorts.turns import (
    CANDIDATES,
    in_turn,
    next_cohort,
    waiting,
    workspaces_in_turn,
)
from services.db.base import new_id
from services.db.database import Database
from services.db.tables import CohortRow, ExperimentRow, TrialRow, WorkspaceRow
from tests.support.turns import TTL, asked, end, submit, take, through_one_slot


def test_a_small_one_starts_after_one_cohort_of_a_large_one(database: Database) -> None:
    large = submit(database, *[1] * 6)
    running = take(database)
    small = submit(database, 1)
    end(database, running)
    assert through_one_slot(database, 3) == [small, large, large]


def test_one_slot_serves_experiments_in_turns(database: Database) -> None:
    one, two, three = (submit(database, 1, 1, 1) for _ in range(3))
    assert through_one_slot(database, 9) == [one, two, three] * 3


def test_a_stream_of_small_ones_does_not_starve_a_large_one(database: Database) -> None:
    large = submit(database, *[1] * 4)
    order = []
    for _ in range(10):
        submit(database, 1)
        order += through_one_slot(database, 1)
    assert order.count(large) == 3, "it has its turns, though more comes than one slot can do"


def test_slots_go_to_whom_has_least_running(database: Database) -> None:
    large = submit(database, *[1] * 6)
    running = [take(database) for _ in range(3)]
    others = [submit(database, 1, 1) for _ in range(2)]
    assert {take(database).experiment_id for _ in range(2)} == set(others)
    for taken in running[:2]:
        end(database, taken)
    # One runs of each: the one served longest ago is next.
    assert take(database).experiment_id == large
    assert [take(database).experiment_id for _ in range(2)] == others


def test_a_cohort_that_was_given_back_waits_for_its_turn(database: Database) -> None:
    one, two = submit(database, 1), submit(database, 1)
    taken = take(database)
    assert taken.experiment_id == one
    with database.write() as session:
        release(session, taken.cohort_id, taken.attempt)
    assert [take(database).experiment_id for _ in range(2)] == [two, one]


def test_what_is_paused_is_passed_over_and_comes_back(database: Database) -> None:
    one, two = submit(database, 1), submit(database, 1, 1)
    with database.write() as session:
        request_pause(session, one)
    assert through_one_slot(database, 1) == [two]
    with database.write() as session:
        resume(session, one)
    assert through_one_slot(database, 2) == [one, two]


def test_a_lower_priority_is_served_before_all_turns(database: Database) -> None:
    first = submit(database, 1)
    urgent = submit(database, 1, 1, 1)
    with database.write() as session:
        session.execute(update(ExperimentRow).where(ExperimentRow.id == urgent).values(priority=-1))
    assert [take(database).experiment_id for _ in range(4)] == [urgent] * 3 + [first]


def test_nothing_to_claim(database: Database) -> None:
    with database.write() as session:
        assert not waiting(session)
        assert next_cohort(session) is None
    experiment = submit(database, 1)
    with database.read() as session:
        assert waiting(session)
        assert not waiting(session, ())
    with database.write() as session:
        assert claim(session, "w", TTL, ()) is None
    assert take(database).experiment_id == experiment
    with database.read() as session:
        assert not waiting(session)


def test_a_worker_passes_over_what_asks_for_a_device_that_it_has_not(database: Database) -> None:
    on_gpu, anywhere, on_cpu = (submit(database, 1) for _ in range(3))
    with database.write() as session:
        for experiment, device in ((on_gpu, "gpu"), (on_cpu, "cpu")):
            session.execute(update(ExperimentRow).where(ExperimentRow.id == experiment).values(device=device))
    assert [take(database, "cpu").experiment_id for _ in range(2)] == [anywhere, on_cpu]
    with database.write() as session:
        assert claim(session, "w", TTL, ("cpu",)) is None
        assert not waiting(session, ("cpu",))
        assert waiting(session, ("gpu",))
    assert take(database, "gpu").experiment_id == on_gpu


def test_one_of_all_that_run_gives_way_to_what_never_began(database: Database) -> None:
    large, other = submit(database, *[1] * 4), submit(database, 1)
    running = [take(database) for _ in range(4)]
    assert [taken.experiment_id for taken in running].count(large) == 3
    assert asked(database, running) == [False] * 4, "nobody waits that has never begun"
    newcomer = submit(database, 1)
    gives_way = asked(database, running)
    assert gives_way.count(True) == 1
    set_down = running[gives_way.index(True)]
    assert set_down.experiment_id == large != other
    with database.write() as session:
        assert release(session, set_down.cohort_id, set_down.attempt) == "queued"
    assert take(database).experiment_id == newcomer
    assert not any(asked(database, running)), "what has begun waits for its turn"


def test_nothing_gives_way_to_what_could_not_run_or_is_less_urgent(database: Database) -> None:
    submit(database, 1, 1)
    running = [take(database)]
    newcomer = submit(database, 1)

    def change(**values: object) -> None:
        with database.write() as session:
            session.execute(update(ExperimentRow).where(ExperimentRow.id == newcomer).values(**values))

    change(device="gpu")
    assert asked(database, running, "cpu") == [False]
    assert asked(database, running, "cpu", "gpu") == [True]
    change(device=None, priority=1)
    assert asked(database, running) == [False]
    change(priority=-1)
    assert asked(database, running) == [True]
    with database.write() as session:
        request_pause(session, newcomer)
    assert asked(database, running) == [False]


@pytest.mark.parametrize("sizes", [[1] * 40, [40], [3] * 13])
def test_many_claimers_at_once_take_every_cohort_once(database: Database, sizes: list[int]) -> None:
    cohorts = [submit(database, *[1] * size) for size in sizes]
    assert cohorts
    ready = threading.Barrier(6)

    def work(number: int) -> list[str]:
        ready.wait()
        taken = []
        while (turn := database.transact(lambda session: claim(session, f"w{number}", TTL))) is not None:
            taken.append(turn.cohort_id)
        return taken

    with ThreadPoolExecutor(6) as pool:
        counts = Counter(cohort for taken in pool.map(work, range(6)) for cohort in taken)
    with database.read() as session:
        assert set(counts) == set(session.scalars(select(CohortRow.id)))
    assert set(counts.values()) == {1}, "a cohort was claimed twice"


def test_who_comes_while_another_claims_gets_the_next_one(database: Database) -> None:
    """PostgreSQL alone lets two claim at the same moment; on SQLite the second one waits for the first."""
    if database.is_sqlite:
        return
    submit(database, *[1] * (CANDIDATES + 2))
    with database.write() as one, database.write() as two:
        assert next_cohort(one) != next_cohort(two)
    for _ in range(CANDIDATES + 1):
        submit(database, 1)
    sessions: list[Session] = [Session(database.write_engine) for _ in range(CANDIDATES + 3)]
    try:
        cohorts = [next_cohort(session) for session in sessions]
    finally:
        for session in sessions:
            session.close()
    assert None not in cohorts
    assert len(set(cohorts)) == len(cohorts)


@pytest.fixture
def long_queue(database: Database) -> Database:
    """2,000 queued cohorts of 100 experiments of 20 workspaces, and as many finished ones of 100 others."""
    owners = [new_id("wsp") for _ in range(20)]
    studies = [(new_id("exp"), state, owners[n % 20]) for state in ("queued", "succeeded") for n in range(100)]
    cohorts = [(new_id("coh"), study, place, state) for study, state, _ in studies for place in range(20)]
    fixed = {"spec": {}, "spec_version": 1, "spec_digest": "0" * 64, "dataset": "digits", "epochs": 1}
    with database.write() as session:
        session.execute(insert(WorkspaceRow), [{"id": owner, "name": owner} for owner in owners])
        session.execute(
            insert(ExperimentRow),
            [
                {"id": study, "state": state, "workspace_id": owner, "trial_count": 20, **fixed}
                for study, state, owner in studies
            ],
        )
        session.execute(
            insert(CohortRow),
            [
                {"id": cohort, "experiment_id": study, "position": place, "size": 1, "epochs": 1, "state": state}
                for cohort, study, place, state in cohorts
            ],
        )
        session.execute(
            insert(TrialRow),
            [
                {
                    "id": new_id("trl"),
                    "experiment_id": study,
                    "cohort_id": cohort,
                    "slot": 0,
                    "position": place,
                    "arm": {},
                    "arm_key": "0" * 16,
                    "label": "",
                    "seed": 0,
                }
                for cohort, study, place, _ in cohorts
            ],
        )
    for _ in range(4):
        take(database)
    with database.write() as session:
        session.execute(text("ANALYZE"))
    return database


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        (in_turn(("cpu", "gpu")), {"ix_experiments_line", "ix_cohorts_experiment"}),
        (workspaces_in_turn(("cpu", "gpu")), {"ix_experiments_line", "ix_cohorts_experiment"}),
    ],
    ids=["experiments", "workspaces"],
)
def test_the_order_is_read_from_indexes(long_queue: Database, query: Select[str], indexes: set[str]) -> None:
    with long_queue.read() as session:
        query = query.params(workspace=session.scalars(select(ExperimentRow.workspace_id).limit(1)).one())
    words = query.compile(long_queue.write_engine, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if long_queue.is_sqlite else "EXPLAIN"
    with long_queue.read() as session:
        plan = [" ".join(map(str, row)) for row in session.execute(text(f"{explain} {words}"))]
    read_whole = ("SCAN cohorts", "SCAN experiments", "Seq Scan on cohorts", "Seq Scan on experiments")
    few = "ix_cohorts_running"  # holds what runs and nothing else
    assert [line for line in plan if any(words in line for words in read_whole) and few not in line] == []
    assert {index for index in indexes if not any(index in line for line in plan)} == set()


def test_the_statements_of_a_claim_do_not_grow_with_the_queue(long_queue: Database) -> None:
    statements: list[str] = []

    @event.listens_for(long_queue.write_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    take(long_queue)
    assert len(statements) <= 18, statements
