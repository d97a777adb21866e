"""Workspaces take turns, whatever one of them submits, claims or deletes. On both databases."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, text, update

from services.cohorts.claim import Claim, claim
from services.cohorts.turns import latest_workspace_turn
from services.db.base import new_id
from services.db.database import Database
from services.db.tables import DEFAULT_WORKSPACE, CohortRow, ExperimentRow, WorkspaceRow
from tests.support.turns import TTL, asked, end, submit, take, through_one_slot


@pytest.fixture
def others(database: Database) -> list[str]:
    """Two workspaces besides the one that is always there."""
    with database.write() as session:
        rows = [WorkspaceRow(id=new_id("wsp"), name=name) for name in ("one", "two")]
        session.add_all(rows)
        return [row.id for row in rows]


def test_many_experiments_of_one_workspace_are_not_before_the_only_one_of_another(
    database: Database, others: list[str]
) -> None:
    many = [submit(database, 1, 1) for _ in range(4)]
    only, other = (submit(database, 1, workspace=workspace) for workspace in others)
    order = through_one_slot(database, 6)
    assert set(order[:3]) == {many[0], only, other}
    assert order[3:] == many[1:], "in a workspace the experiments take turns as before"


def test_a_new_workspace_comes_after_those_that_wait(database: Database, others: list[str]) -> None:
    for workspace in others:
        submit(database, 1, 1, workspace=workspace)
    through_one_slot(database, 2)
    with database.write() as session:
        newest = WorkspaceRow(id=new_id("wsp"), name="newest", turn=latest_workspace_turn(session))
        session.add(newest)
    newcomer = submit(database, 1, workspace=newest.id)
    order = through_one_slot(database, 3)
    assert newcomer in order[1:], "after who waits for longest, before whom it has seen served"


def test_who_deletes_what_was_served_is_not_served_again(database: Database, others: list[str]) -> None:
    for workspace in others:
        submit(database, 1, 1, workspace=workspace)
    order = []
    for _ in range(3):
        taken = take(database)
        end(database, taken)
        with database.write() as session:
            order.append(session.get_one(ExperimentRow, taken.experiment_id).workspace_id)
            session.execute(delete(ExperimentRow).where(ExperimentRow.id == taken.experiment_id))
        submit(database, 1, 1, workspace=order[-1])
    assert order[0] == order[2] != order[1]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 2)),
        st.tuples(st.just("claim"), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 9)),
    ),
    min_size=25,
    max_size=30,
)


@settings(max_examples=3, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_every_claim_goes_to_whom_has_least_and_waited_longest(
    database: Database, others: list[str], steps: list[tuple[str, int]]
) -> None:
    """What is claimed is held beside a model of a few lines, whatever comes in whatever order."""
    with database.write() as session:
        for row in (CohortRow, ExperimentRow):
            session.execute(update(row).values(state="cancelled"))
        session.execute(update(WorkspaceRow).values(turn=0))
    places = [DEFAULT_WORKSPACE, *others]
    owner = {submit(database, 1, 1, 1, workspace=place): place for place in places for _ in range(2)}
    queued = Counter(dict.fromkeys(places, 6))
    served, running = dict.fromkeys(places, 0), list[Claim]()
    for number, (step, choice) in enumerate(steps, 1):
        if step == "submit":
            owner[submit(database, 1, workspace=places[choice])] = places[choice]
            queued[places[choice]] += 1
        elif step == "end" and running:
            end(database, running.pop(choice % len(running)))
        elif step == "claim" and queued.total():
            slots = Counter(owner[taken.experiment_id] for taken in running)
            due = min(
                (place for place in places if queued[place]), key=lambda place: (slots[place], served[place], place)
            )
            running.append(take(database))
            assert owner[running[-1].experiment_id] == due
            served[due] = number
            queued[due] -= 1


def test_way_is_given_to_a_workspace_that_has_less_and_not_to_one_that_has_as_much(
    database: Database, others: list[str]
) -> None:
    one, two = others
    for workspace in others:
        submit(database, 1, 1, workspace=workspace)
    running = [take(database), take(database)]
    submit(database, 1, workspace=one)
    assert asked(database, running) == [taken.experiment_id == first(database, one) for taken in running]
    with database.write() as session:
        session.execute(update(ExperimentRow).where(ExperimentRow.state == "queued").values(priority=1))
    assert asked(database, running) == [False, False], "the other one would be served again at once"
    submit(database, 1)
    assert asked(database, running).count(True) == 1
    end(database, next(taken for taken in running if taken.experiment_id == first(database, two)))
    assert take(database).experiment_id != first(database, one)


def first(database: Database, workspace: str) -> str:
    """The first experiment that the workspace has submitted."""
    query = select(ExperimentRow.id).where(ExperimentRow.workspace_id == workspace)
    with database.read() as session:
        return session.scalars(query.order_by(ExperimentRow.created_at).limit(1)).one()


def test_a_claimer_that_sleeps_holds_up_nobody_of_its_workspace(database: Database) -> None:
    """PostgreSQL alone lets two claim at the same moment."""
    if database.is_sqlite:
        return
    submit(database, 1)
    submit(database, 1)
    with database.write() as asleep, database.write() as awake:
        assert claim(asleep, "asleep", TTL) is not None
        awake.execute(text("SET LOCAL lock_timeout = '100ms'"))
        assert claim(awake, "awake", TTL) is not None
