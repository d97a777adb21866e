"""Points in time as clients write them: RFC 3339, with a zone, and inside the calendar in UTC too."""

import re
from datetime import UTC, datetime

EXAMPLE = "2026-11-22T10:00:00Z"
WRITTEN = re.compile(
    r"\d{4}-\d\d-\d\d(?P<time>[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(?P<zone>[Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def instant(text: str, *, complete: bool = True) -> datetime:
    """Read a time and give it in UTC.

    Args:
        text: date, time, and a zone such as Z or +01:00.
        complete: whether all three are needed; else a missing zone is that of UTC, a missing time midnight.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence about the field.
    """
    written = WRITTEN.fullmatch(text)
    if written is None or (complete and written["time"] is None):
        raise ValueError(f"needs a time such as {EXAMPLE!r}, not {text[:80]!r}")
    if complete and written["zone"] is None:
        raise ValueError("needs a zone, such as Z for UTC")
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise ValueError(f"is no date and time of the calendar: {text!r}; write one such as {EXAMPLE!r}") from None
    return in_utc(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC.

    Raises:
        ValueError: it lies before the year 1 or after the year 9999 there.
    """
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"lies outside the years 1 to 9999 in UTC: {moment.isoformat()!r}") from None
