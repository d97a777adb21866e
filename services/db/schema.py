"""Schema upgrades: one transaction, one upgrader at a time, safe to call from every process that starts."""

from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from services.db.unusable import UnusableDatabaseError

ADVISORY_KEY = 0x46495253544C49  # "FIRSTLI"


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration: the scripts in `migrations/`, run on the given connection."""
    package = find_spec("migrations")
    if package is None or not package.submodule_search_locations:
        raise RuntimeError("the `migrations` package is not installed beside `services`")
    config = Config()
    config.set_main_option("script_location", str(Path(package.submodule_search_locations[0])).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Upgrade to `revision` in one transaction, behind the database's own lock.

    SQLite's lock is the transaction itself (BEGIN IMMEDIATE), PostgreSQL's an advisory lock that ends with it.

    Raises:
        UnusableDatabaseError: the database has been upgraded beyond what this code knows.
    """
    with engine.begin() as connection:
        upgrade_within(connection, revision)


def upgrade_within(connection: Connection, revision: str = "head") -> None:
    """As `upgrade`, in the transaction that the connection is in."""
    lock(connection)
    present = current(connection)
    if present is not None and not is_known(present):
        raise UnusableDatabaseError(
            f"the database stands at schema {present}, and this version knows schemas up to {latest()}: a newer "
            "Firstlight has upgraded it. Run that version, or restore a backup from before the upgrade"
        )
    command.upgrade(configuration(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Go back to `revision` (``base`` for an empty database) in one transaction."""
    with engine.begin() as connection:
        lock(connection)
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


def is_known(revision: str) -> bool:
    """Whether this code has the migration that leads to `revision`."""
    scripts = ScriptDirectory.from_config(configuration()).walk_revisions()
    return any(script.revision == revision for script in scripts)


def is_older(revision: str) -> bool:
    """Whether this code knows `revision` and newer ones."""
    return revision != latest() and is_known(revision)


def lock(connection: Connection) -> None:
    """Keep all other upgraders waiting until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_KEY})
