"""Ground of the schema: naming convention, UTC times, JSON, ids."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, MetaData, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from services.errors import StoredUnreadableError

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
"""JSON that both databases keep; binary on PostgreSQL. None is stored as NULL, not as JSON's null."""


class JsonObject(TypeDecorator[dict[str, Any]]):
    """JSON that is an object: what else stands there is found out where it is read, not where it is used."""

    impl = Json
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:  # noqa: ARG002
        """Refuse what is no object.

        Raises:
            StoredUnreadableError: it is something else.
        """
        if value is not None and not isinstance(value, dict):
            raise StoredUnreadableError(f"a stored row holds {str(value)[:40]!r} where an object belongs")
        return value


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime; SQLite forgets the zone, so UTC is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse naive datetimes."""
        if value is not None and value.tzinfo is None:
            message = f"a stored time needs a zone: {value!r}"
            raise ValueError(message)
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back UTC."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Root of all tables."""

    metadata = MetaData(naming_convention=NAMING)


def now() -> datetime:
    """The present moment for display columns; leases never use it."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """An opaque id such as ``exp_3f…``."""
    return f"{prefix}_{uuid.uuid4().hex}"
