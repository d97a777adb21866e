"""Which request submitted an experiment: kept with its first event, so that its work can be found by the request's id.

Events are removed after a while (`FIRSTLIGHT_KEEP_EVENTS_DAYS`); what trains later than that has no known origin.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import EventRow
from services.db.unit_of_work import is_unreadable

FIRST = 1
"""The number of the event that tells of the submission."""


@dataclass(frozen=True)
class Origin:
    """The id of the request, and its span as W3C Trace Context writes it; None for what is not known."""

    request_id: str | None = None
    traceparent: str | None = None

    def payload(self) -> dict[str, str]:
        """What is known, as the first event holds it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


ORIGIN_FIELDS = tuple(field.name for field in fields(Origin))
"""What the first event has beside what other events of its type have."""


def origin(session: Session, experiment_id: str) -> Origin:
    """Where the experiment came from; nothing depends on it, so that nothing fails where it cannot be read."""
    first = select(EventRow.payload).where(EventRow.experiment_id == experiment_id, EventRow.seq == FIRST)
    try:
        payload: object = session.execute(first).scalar_one_or_none()
    except Exception as error:
        if not is_unreadable(error):
            raise
        payload = None
    stored: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
    return Origin(_text(stored.get("request_id")), _text(stored.get("traceparent")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
