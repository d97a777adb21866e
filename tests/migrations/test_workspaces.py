"""A store from before there were workspaces: what it holds belongs to the default one, and old code goes on writing."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from services.accounts.keys import create_key
from services.accounts.principal import OWNER
from services.db import schema
from services.db.database import Database, _migration_engine
from services.db.isolation import WorkspaceDatabase
from services.db.tables import ExperimentRow
from services.settings import Settings

INSERT = text(
    "INSERT INTO experiments (id, tags, state, desired, spec, spec_version, spec_digest, dataset, epochs, trial_count, "
    "axes, warnings, event_seq, version, created_at) VALUES (:id, '[]', 'queued', 'run', '{}', 1, 'd', 'digits', 1, 1, "
    "'[]', '[]', 0, 0, '2026-01-31 12:00:00+00:00')"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    return f"sqlite:///{tmp_path / 'f.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_what_was_there_belongs_to_the_default_workspace(empty_url: str, tmp_path: Path) -> None:
    database = Database(Settings(home=tmp_path, database_url=SecretStr(empty_url)))
    database.upgrade("0004")
    with database.write_engine.begin() as connection:
        connection.execute(INSERT, {"id": "exp_before"})
    database.upgrade()
    with database.write_engine.begin() as connection:  # by code that knows nothing of workspaces
        connection.execute(INSERT, {"id": "exp_after"})
    with WorkspaceDatabase(database, "default").read() as session:
        assert set(session.scalars(select(ExperimentRow.id))) == {"exp_before", "exp_after"}
    with WorkspaceDatabase(database, "wsp_other").read() as session:
        assert session.scalars(select(ExperimentRow.id)).all() == []
    with database.write() as session:
        create_key(session, OWNER, "the default workspace is there", "admin", "default")
    database.dispose()


def test_going_back_would_open_other_workspaces_and_is_refused(empty_url: str, tmp_path: Path) -> None:
    database = Database(Settings(home=tmp_path, database_url=SecretStr(empty_url)))
    database.upgrade()
    engine = _migration_engine(database.url)
    with engine.begin() as connection:
        connection.execute(INSERT, {"id": "exp_a"})
        connection.execute(text("UPDATE experiments SET workspace_id = 'wsp_a'"))
    with pytest.raises(RuntimeError, match="delete those of other workspaces"):
        schema.downgrade(engine, "0004")
    with engine.begin() as connection:
        connection.execute(text("UPDATE experiments SET workspace_id = 'default'"))
    schema.downgrade(engine, "0004")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT id FROM experiments")).scalar() == "exp_a"
    engine.dispose()
    database.dispose()
