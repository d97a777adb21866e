"""A queue from before experiments took turns is served in turns, also what an older API still adds. Both databases."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, MetaData, insert

from services.cohorts.claim import claim
from services.db.base import new_id
from services.db.engine import Database
from services.settings import Settings

BEFORE = "0003"
LATER = {"experiments": {"device", "priority", "turn"}}
"""What an API of before knows nothing of."""


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A database as it was before."""
    url = f"sqlite:///{tmp_path / 'f.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(Settings(home=tmp_path, database_url=SecretStr(url)))
    database.upgrade(BEFORE)
    yield database
    database.dispose()


def submit(connection: Connection, cohorts: int, tables: MetaData) -> str:
    """What an API of before writes: rows of the tables as it knew them."""
    values: dict[str, Any] = {
        "name": None, "tags": [], "axes": [], "warnings": [], "spec": {}, "state": "queued", "desired": "run",
        "spec_version": 1, "spec_digest": "0" * 64, "dataset": "digits", "epochs": 1, "trial_count": cohorts,
        "event_seq": 0, "version": 0, "created_at": datetime.now(UTC), "size": 1, "priority": 0, "available_at": 0.0,
        "attempt": 0, "failures": 0,
        "losses": 0, "interruptions": 0, "lease_expires_at": 0.0, "last_epoch": -1, "duration_seconds": 0.0, "slot": 0,
        "arm": {}, "arm_key": "0" * 16, "label": "", "seed": 0, "epochs_done": 0,
    }  # fmt: skip

    def add(table: str, **own: Any) -> None:
        names = {column.name for column in tables.tables[table].columns} - LATER.get(table, set())
        row = {name: value for name, value in {**values, **own}.items() if name in names}
        connection.execute(insert(tables.tables[table]).values(row))

    experiment = new_id("exp")
    add("experiments", id=experiment)
    for position in range(cohorts):
        cohort = new_id("coh")
        add("cohorts", id=cohort, experiment_id=experiment, position=position)
        add("trials", id=new_id("trl"), experiment_id=experiment, cohort_id=cohort, position=position)
    return experiment


def known(database: Database) -> MetaData:
    tables = MetaData()
    with database.write_engine.connect() as connection:
        tables.reflect(connection, only=["experiments", "cohorts", "trials"])
    return tables


def test_an_old_queue_is_served_in_turns(old: Database) -> None:
    tables = known(old)
    with old.write_engine.begin() as connection:
        one, two = submit(connection, 3, tables), submit(connection, 2, tables)
    old.upgrade()
    with old.write_engine.begin() as connection:
        newcomer = submit(connection, 1, tables)
    order = []
    for _ in range(6):
        with old.write() as session:
            taken = claim(session, "w", 30.0)
            assert taken is not None
            order.append(taken.experiment_id)
    assert order[:3] == [one, two, newcomer]
    assert sorted(order[3:]) == sorted([one, one, two])
