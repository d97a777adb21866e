"""Times as clients write them."""

from datetime import UTC, datetime

import pytest

from services.instants import instant

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02t03:04:05z",
        "2026-01-02 03:04:05Z",
        "2026-01-02T04:04:05+01:00",
        "2026-01-02T04:04:05+0100",
        "2026-01-01T22:04:05.000-05:00",
    ],
)
def test_a_time_with_a_zone_is_read(text: str) -> None:
    moment = instant(text)
    assert moment == MOMENT
    assert moment.tzinfo is UTC


def test_less_may_be_written_where_less_is_needed() -> None:
    assert instant("2026-01-02", complete=False) == datetime(2026, 1, 2, tzinfo=UTC)
    assert instant("2026-01-02T03:04:05", complete=False) == MOMENT
    assert instant("9999-12-31T23:59:59Z") == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2026-01-02T03:04:05", "needs a zone"),
        ("2026-01-02", "needs a time such as"),
        ("0.5", "needs a time such as '2026-11-22T10:00:00Z', not '0.5'"),
        ("1700000000", "needs a time such as"),
        ("", "needs a time such as"),
        ("now", "needs a time such as"),
        ("2026-W01-1", "needs a time such as"),
        ("٢٠٢٦-01-02T03:04:05Z", "needs a time such as"),
        ("2026-13-02T03:04:05Z", "is no date and time of the calendar"),
        ("2026-01-02T25:04:05Z", "is no date and time of the calendar"),
        ("0000-01-01T00:00:00Z", "is no date and time of the calendar"),
        ("0001-01-01T00:00:00+23:59", "lies outside the years 1 to 9999 in UTC"),
        ("9999-12-31T23:59:59-00:01", "lies outside the years 1 to 9999 in UTC"),
    ],
)
def test_what_is_no_moment_is_refused_with_the_way_out(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        instant(text)
