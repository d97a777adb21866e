"""Alembic's entry: runs the scripts on the connection it is given, or on the database of the settings."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON, Connection

from services.db.base import Base, UtcDateTime
from services.db.database import Database
from services.db.tables import ExperimentRow
from services.settings import get_settings

assert ExperimentRow.metadata is Base.metadata  # importing the tables is what fills the metadata


def rendered(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write a column type of ours in terms of SQLAlchemy alone: a script outlives our code."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, JSON):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def run(connection: Connection) -> None:
    """Run the requested scripts on this connection, inside the transaction it is in."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
        render_item=rendered,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
elif context.is_offline_mode():
    raise SystemExit("offline mode is not offered: the scripts are run by `python -m migrations`")
else:
    database = Database(get_settings())
    with database.write_engine.begin() as own:
        run(own)
    database.dispose()
