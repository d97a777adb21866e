"""The rows of a PostgreSQL database, out of it and into it, as COPY writes them: exact, and quick."""

from psycopg import Connection as PgConnection
from psycopg import Error as PgError
from psycopg.sql import SQL, Identifier
from sqlalchemy import Connection, Engine, MetaData, inspect, text

from services.backup.archive import Archive, ArchiveWriter
from services.backup.manifest import BackupError, Table, table_member
from services.db import schema
from services.db.base import Base
from services.db.database import Database
from services.settings import Settings

APPLICATION = "firstlight-restore"
VERSION_TABLE = "alembic_version"
NOTHING = "nothing was changed"
OF_USERS = {"workspaces": "id <> 'default'"}
"""Which rows of a table somebody made, where a new schema holds some by itself."""


def copy_out(connection: Connection, archive: ArchiveWriter) -> dict[str, Table]:
    """Write every row of every table of ours, as the connection's transaction sees them."""
    inspector = inspect(connection)
    present = set(inspector.get_table_names())
    tables: dict[str, Table] = {}
    for name in (table.name for table in Base.metadata.sorted_tables if table.name in present):
        columns = tuple(column["name"] for column in inspector.get_columns(name))
        query = SQL("COPY {} ({}) TO STDOUT").format(Identifier(name), SQL(", ").join(map(Identifier, columns)))
        with _driver(connection).cursor() as cursor, archive.member(table_member(name)) as write:
            with cursor.copy(query) as copy:
                for piece in copy:
                    write(bytes(piece))
            tables[name] = Table(columns=columns, rows=cursor.rowcount)
    return tables


def restore(archive: Archive, settings: Settings, *, replace: bool) -> str:
    """Make the schema of the backup, fill it and upgrade it, in one transaction; returns the revision it ends at.

    Raises:
        BackupError: rows are there and may not be replaced, somebody uses the database, or the backup does not fit.
    """
    database = Database(settings, application=APPLICATION)
    engine = database.unhurried_engine()
    try:
        return _restore(engine, archive, replace=replace)
    finally:
        engine.dispose()
        database.dispose()


def _restore(engine: Engine, archive: Archive, *, replace: bool) -> str:
    manifest = archive.manifest
    with engine.begin() as connection:
        schema.lock(connection)
        _refuse_users(connection)
        present = [name for name in inspect(connection).get_table_names() if name in Base.metadata.tables]
        if not replace:
            _refuse_rows(connection, present)
        preparer = connection.dialect.identifier_preparer
        for name in (*present, VERSION_TABLE):
            connection.execute(text(f"DROP TABLE IF EXISTS {preparer.quote(name)} CASCADE"))
        schema.upgrade_within(connection, manifest.revision)
        made = MetaData()
        made.reflect(connection)
        order = [table.name for table in made.sorted_tables if table.name in manifest.tables]
        if strange := sorted({*manifest.tables} - {*order}):
            raise BackupError(f"the backup has tables that schema {manifest.revision} has not: {strange}; {NOTHING}")
        for name in reversed(order):  # what a new schema holds by itself is in the backup too
            connection.execute(text(f"DELETE FROM {preparer.quote(name)}"))  # noqa: S608 - our own names
        for name in order:
            _copy_in(connection, archive, name, manifest.tables[name])
        schema.upgrade_within(connection)
        return schema.current(connection) or manifest.revision


def _refuse_users(connection: Connection) -> None:
    query = text(
        "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND application_name LIKE 'firstlight%' AND application_name <> :own ORDER BY 1"
    )
    users = list(connection.scalars(query, {"own": APPLICATION}))
    if users:
        raise BackupError(f"the database is in use by {', '.join(users)}: stop API and workers first; {NOTHING}")


def _refuse_rows(connection: Connection, tables: list[str]) -> None:
    preparer = connection.dialect.identifier_preparer
    filled = [
        name
        for name in tables
        if connection.scalar(
            text(f"SELECT EXISTS (SELECT 1 FROM {preparer.quote(name)} WHERE {OF_USERS.get(name, 'true')})")  # noqa: S608 - our own names
        )
    ]
    if filled:
        named = ", ".join(filled[:4]) + (f" and {len(filled) - 4} more" if len(filled) > 4 else "")
        raise BackupError(f"the database has rows already, in {named}. --replace replaces them; {NOTHING}")


def _copy_in(connection: Connection, archive: Archive, name: str, table: Table) -> None:
    listed = SQL(", ").join(map(Identifier, table.columns))
    query = SQL("COPY {} ({}) FROM STDIN").format(Identifier(name), listed)
    try:
        with _driver(connection).cursor() as cursor:
            with cursor.copy(query) as copy:
                for piece in archive.pieces(table_member(name)):
                    copy.write(piece)
            rows = cursor.rowcount
    except PgError as error:
        detail = str(error).splitlines()[0]
        raise BackupError(f"the rows of {name} in the backup do not fit its schema: {detail}; {NOTHING}") from error
    if rows != table.rows:
        raise BackupError(f"the backup has {rows} rows of {name}, and says {table.rows}; {NOTHING}")
    for column in table.columns:
        _continue_numbers(connection, name, column)


def _continue_numbers(connection: Connection, table: str, column: str) -> None:
    """Let a column that the database numbers go on after the highest number restored."""
    place = {"table": table, "column": column}
    sequence = connection.scalar(text("SELECT pg_get_serial_sequence(quote_ident(:table), :column)"), place)
    if sequence is not None:
        preparer = connection.dialect.identifier_preparer
        highest = f"SELECT COALESCE(max({preparer.quote(column)}), 0) + 1 FROM {preparer.quote(table)}"  # noqa: S608
        connection.execute(text(f"SELECT setval(:sequence, ({highest}), false)"), {"sequence": sequence})


def _driver(connection: Connection) -> PgConnection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, PgConnection)
    return driver
