"""A child that holds more memory than it may: ended, and the failure says how much, and which setting forbids it."""

import re
from pathlib import Path

import pytest
from sqlalchemy import select

from services.db.database import Database
from services.db.tables import AttemptRow, CohortRow
from tests.support.supervising import fake, settings_of, supervisor, taken_from
from worker import exits

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_a_child_above_its_limit_is_ended_and_its_cohort_tried_in_halves(database: Database, tmp_path: Path) -> None:
    settings = settings_of(database, tmp_path, child_memory_mb=150)
    waits = {"epoch": 1, "mark": str(tmp_path / "never")}
    child = fake(settings)
    taken = taken_from(database, hold_mb={"1": 200}, gate=waits)
    assert supervisor(database, settings, taken, child).run() == "split"
    assert not child.alive
    with database.read() as session:
        attempt = session.get_one(AttemptRow, (taken.cohort_id, taken.attempt))
        assert attempt.outcome == "failed"
        assert attempt.detail is not None
        assert attempt.detail["code"] == "oom"
        match = re.fullmatch(
            r"the process held (\d+) MB of memory and FIRSTLIGHT_CHILD_MEMORY_MB allows 150", attempt.detail["detail"]
        )
        assert match
        assert int(match[1]) >= 150
        assert session.scalars(select(CohortRow.size)).all() == [1, 1]


def test_a_child_below_its_limit_or_without_one_is_left_alone(database: Database, tmp_path: Path) -> None:
    child = fake(settings_of(database, tmp_path))
    seen = child.resident_bytes()
    try:
        assert seen > 1_000_000
        assert [exits.too_large(child, most) for most in (None, 10_000)] == [None, None]
    finally:
        child.end()
    assert child.resident_bytes() == 0
    assert exits.too_large(child, 64) is None
