"""What tests of backups share: a database with something of everything in it, and a place to restore it to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import inspect, text

from services.db.base import Base
from services.db.database import Database
from services.settings import Settings
from tests.support.supervising import settings_of

Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(database: Database) -> Rows:
    """Every row of every table as the driver gives it, without a type of ours in between."""
    with database.read_engine.connect() as connection:
        present = set(inspect(connection).get_table_names())
        return {
            name: sorted(map(tuple, connection.execute(text(f"SELECT * FROM {name}"))), key=repr)
            for name in Base.metadata.tables
            if name in present
        }


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    """Those of the database that is backed up."""
    return settings_of(database, tmp_path)


@pytest.fixture
def elsewhere(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """A home that is not there yet, and an empty database of the same kind."""
    home = tmp_path / "elsewhere"
    url = f"sqlite:///{home}/firstlight.db" if database.is_sqlite else request.getfixturevalue("postgres_url")
    return Settings(home=home, database_url=SecretStr(url))


@pytest.fixture
def opened() -> Iterator[Callable[[Settings], Database]]:
    """Opens the database of settings, and closes it after the test."""
    made: list[Database] = []

    def open_it(settings: Settings) -> Database:
        made.append(Database(settings))
        return made[-1]

    yield open_it
    for database in made:
        database.dispose()
