"""The migrations and the tables say the same thing, on both databases; upgrades are safe to start twice at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import inspect

from services.db import schema
from services.db.base import Base
from services.db.database import Database, _migration_engine
from services.db.tables import ExperimentRow
from services.settings import Settings
from tests.support.workers import PATIENCE

assert ExperimentRow.metadata is Base.metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    return f"sqlite:///{tmp_path / 'f.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_migrations_make_what_the_tables_say(database: Database) -> None:
    with database.write_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        assert schema.current(connection) == schema.latest()


def test_upgrade_downgrade_upgrade(empty_url: str, tmp_path: Path) -> None:
    database = Database(Settings(home=tmp_path, database_url=SecretStr(empty_url)))
    database.upgrade()
    engine = _migration_engine(database.url)
    schema.downgrade(engine, "base")
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) <= {"alembic_version"}
        assert schema.current(connection) is None
    database.upgrade()
    database.upgrade()
    with engine.connect() as connection:
        assert schema.current(connection) == schema.latest()
    engine.dispose()
    database.dispose()


def test_many_upgraders_at_once(empty_url: str, tmp_path: Path) -> None:
    def start(_: int) -> None:
        database = Database(Settings(home=tmp_path, database_url=SecretStr(empty_url)))
        database.upgrade()
        database.dispose()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    database = Database(Settings(home=tmp_path, database_url=SecretStr(empty_url)))
    with database.read_engine.connect() as connection:
        assert schema.current(connection) == schema.latest()
    database.dispose()


def test_code_that_is_newer_than_the_schema_asks_for_the_migrations(database: Database) -> None:
    assert database.schema_problem() is None
    engine = _migration_engine(database.url)
    database.dispose()
    schema.downgrade(engine, "0001")
    problem = database.schema_problem()
    assert problem is not None
    assert problem.startswith(f"the database stands at schema 0001, this version needs {schema.latest()}: run ")
    schema.downgrade(engine, "base")
    assert database.schema_problem() == "the database has no schema yet: run `python -P -m migrations` first"
    engine.dispose()


def test_the_command_runs_in_two_processes_at_once(tmp_path: Path) -> None:
    environment = {**os.environ, "FIRSTLIGHT_HOME": str(tmp_path / "home")}
    environment.pop("FIRSTLIGHT_DATABASE_URL", None)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "migrations"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert out == f"schema at {schema.latest()}\n"
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "home").glob("firstlight.db*"))
