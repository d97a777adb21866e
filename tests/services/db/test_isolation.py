"""A session of a workspace sees, changes and deletes its own rows alone, however a statement is written."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from services.db.base import Base
from services.db.database import Database
from services.db.isolation import EVERY_WORKSPACE, OF_EXPERIMENTS, WorkspaceDatabase, workspace_of
from services.db.tables import CohortRow, EventRow, ExperimentRow, IdempotencyRow, TrialRow
from tests.support.experiments import make_experiment

OWN, OTHERS = "wsp_own", "default"


@pytest.fixture
def own(database: Database) -> dict[str, str]:
    """An experiment of two trials in one workspace, of three in another; the same idempotency key would be theirs."""
    ids: dict[str, str] = {}
    with database.write() as session:
        for workspace, size in ((OWN, 2), (OTHERS, 3)):
            ids[workspace] = make_experiment(session, (size,))
            session.get_one(ExperimentRow, ids[workspace]).workspace_id = workspace
            session.add(
                IdempotencyRow(key=workspace, request_hash="0" * 64, experiment_id=ids[workspace], response={"x": 1})
            )
    return ids


def test_every_table_that_names_an_experiment_is_kept_apart() -> None:
    named = {mapper.class_ for mapper in Base.registry.mappers if "experiment_id" in mapper.columns}
    assert named == set(OF_EXPERIMENTS)


Other = aliased(TrialRow)
COUNTS: list[tuple[str, Callable[[Session], Any], int]] = [
    ("entities", lambda session: len(session.scalars(select(TrialRow)).all()), 2),
    ("columns", lambda session: len(session.execute(select(TrialRow.id, TrialRow.state)).all()), 2),
    ("count of rows", lambda session: session.scalar(select(func.count()).select_from(TrialRow)), 2),
    ("count of a column", lambda session: session.scalar(select(func.count(TrialRow.id))), 2),
    ("an alias", lambda session: len(session.scalars(select(Other.id)).all()), 2),
    ("cohorts", lambda session: session.scalar(select(func.sum(CohortRow.size))), 2),
    ("events", lambda session: len(session.scalars(select(EventRow)).all()), 1),
    ("idempotency", lambda session: len(session.scalars(select(IdempotencyRow)).all()), 1),
    (
        "a join",
        lambda session: len(
            session.execute(
                select(TrialRow, ExperimentRow).join(ExperimentRow, ExperimentRow.id == TrialRow.experiment_id)
            ).all()
        ),
        2,
    ),
    (
        "a subquery",
        lambda session: len(
            session.scalars(
                select(CohortRow.id).where(CohortRow.id.in_(select(TrialRow.cohort_id).where(TrialRow.slot == 0)))
            ).all()
        ),
        1,
    ),
    (
        "a scalar subquery of another table",
        lambda session: len(
            session.execute(
                select(
                    ExperimentRow.id,
                    select(func.count()).where(TrialRow.experiment_id == ExperimentRow.id).scalar_subquery(),
                )
            ).all()
        ),
        1,
    ),
    (
        "groups",
        lambda session: dict(
            row[:2] for row in session.execute(select(TrialRow.state, func.count()).group_by(TrialRow.state))
        ).get("queued"),
        2,
    ),
    (
        "a locked row",
        lambda session: len(session.scalars(select(ExperimentRow).with_for_update()).all()),
        1,
    ),
]


@pytest.mark.parametrize(("read", "count"), [case[1:] for case in COUNTS], ids=[case[0] for case in COUNTS])
def test_a_statement_reads_the_own_rows(
    database: Database, own: dict[str, str], read: Callable[[Session], Any], count: int
) -> None:
    with WorkspaceDatabase(database, OWN).write() as session:
        assert read(session) == count
    with WorkspaceDatabase(database, "").write() as session:
        assert not read(session)


def test_a_row_is_found_by_its_key_only_in_its_workspace(database: Database, own: dict[str, str]) -> None:
    mine, theirs = WorkspaceDatabase(database, OWN), WorkspaceDatabase(database, OWN).within(OTHERS)
    with mine.read() as session:
        assert workspace_of(session) == OWN
        row = session.get(ExperimentRow, own[OWN])
        assert row is not None
        session.refresh(row)
        assert session.get(ExperimentRow, own[OTHERS]) is None
        assert session.get(EventRow, (own[OTHERS], 1)) is None
        assert session.get(IdempotencyRow, OTHERS) is None
    with theirs.read() as session:
        assert session.get(ExperimentRow, own[OTHERS]) is not None
        assert session.get(ExperimentRow, own[OWN]) is None
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(TrialRow)) == 5


def test_a_statement_changes_and_deletes_the_own_rows(database: Database, own: dict[str, str]) -> None:
    def change(session: Session) -> None:
        session.execute(update(CohortRow).values(priority=7))
        session.execute(update(TrialRow).where(TrialRow.experiment_id == own[OTHERS]).values(label="taken"))
        session.execute(delete(ExperimentRow).where(ExperimentRow.id == own[OTHERS]))

    WorkspaceDatabase(database, OWN).transact(change)
    with database.read() as session:
        priorities = dict(row[:2] for row in session.execute(select(CohortRow.experiment_id, CohortRow.priority)))
        assert priorities == {own[OWN]: 7, own[OTHERS]: 0}
        assert session.scalars(select(TrialRow).where(TrialRow.label == "taken")).all() == []


def test_a_statement_about_the_service_says_so(database: Database, own: dict[str, str]) -> None:
    with WorkspaceDatabase(database, OWN).read() as session:
        assert session.scalar(select(func.count()).select_from(TrialRow), execution_options=EVERY_WORKSPACE) == 5
        assert session.scalar(select(func.count()).select_from(TrialRow)) == 2
