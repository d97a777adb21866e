"""Schema upgrades: one transaction, one upgrader at a time, safe to call from every process that starts."""

from importlib.util import find_spec
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

log = structlog.get_logger(__name__)

ADVISORY_KEY = 0x46495253544C49  # "FIRSTLI"


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration: the scripts in `migrations/`, run on the given connection."""
    found = find_spec("migrations")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("the `migrations` package is not installed beside `services`")
    config = Config()
    config.set_main_option("script_location", str(Path(found.submodule_search_locations[0])).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Upgrade to `revision` in one transaction, behind the database's own lock.

    SQLite's lock is the transaction itself (BEGIN IMMEDIATE), PostgreSQL's an advisory lock that ends with it. A schema
    that is newer than this code is left alone: migrations only add what older code does not look at.
    """
    with engine.begin() as connection:
        _lock(connection)
        config, present = configuration(connection), current(connection)
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if present is not None and present not in known:
            log.warning("schema_is_newer", revision=present)
            return
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Go back to `revision` (``base`` for an empty database) in one transaction."""
    with engine.begin() as connection:
        _lock(connection)
        command.downgrade(configuration(connection), revision)


def current(connection: Connection) -> str | None:
    """The revision this database stands at; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def latest() -> str:
    """The newest revision this code knows."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    if head is None:
        raise RuntimeError("no migration was found")
    return head


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_KEY})
