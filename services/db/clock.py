"""The database's own clock as an SQL expression: the only clock a lease is ever compared with."""

from typing import Any

from sqlalchemy import Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class DatabaseClock(FunctionElement[float]):
    """Seconds since 1970 UTC with a fraction, by the clock of the database server (or of the SQLite host)."""

    type = Float(53)
    inherit_cache = True
    name = "database_clock"


@compiles(DatabaseClock, "postgresql")
def _postgresql(_element: DatabaseClock, _compiler: SQLCompiler, **_options: Any) -> str:
    # clock_timestamp, not now(): now() stands still for the length of a transaction.
    return "CAST(extract(epoch from clock_timestamp()) AS double precision)"


@compiles(DatabaseClock, "sqlite")
def _sqlite(_element: DatabaseClock, _compiler: SQLCompiler, **_options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


CLOCK = DatabaseClock()
"""``select(CLOCK)`` gives the present moment; ``CLOCK + 10`` a lease's end."""
