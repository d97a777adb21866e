"""A database clock that is set back by an hour stalls nothing that waits for a worker. On both databases."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from services.cohorts.claim import Claim, claim
from services.cohorts.endings import release
from services.cohorts.failure import Failure, fail, hand_back
from services.cohorts.requests import request_pause, resume, retry_failed
from services.cohorts.sweep import sweep
from services.cohorts.turns import waiting
from services.db.clock import CLOCK
from services.db.database import Database
from services.db.tables import CohortRow
from tests.support.experiments import make_experiment

TTL = 1000.0
BACK = {
    "julianday('now')": "(julianday('now') - 1.0 / 24.0)",
    "clock_timestamp()": "(clock_timestamp() - interval '1 hour')",
}


def set_back(database: Database) -> None:
    """Let the database's clock show an hour less from now on."""

    @event.listens_for(database.write_engine, "before_cursor_execute", retval=True)
    def _earlier(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        for now, earlier in BACK.items():
            statement = statement.replace(now, earlier)
        return statement, parameters


def requeued(session: Session, taken: Claim) -> None:
    assert fail(session, taken.cohort_id, taken.attempt, Failure("crash", "x")) == "queued"


def drained(session: Session, taken: Claim) -> None:
    assert release(session, taken.cohort_id, taken.attempt) == "queued"


def returned(session: Session, taken: Claim) -> None:
    assert hand_back(session, taken.cohort_id, taken.attempt, "returned", "x") == "queued"


def resumed(session: Session, taken: Claim) -> None:
    request_pause(session, taken.experiment_id)
    assert release(session, taken.cohort_id, taken.attempt) == "paused"
    assert resume(session, taken.experiment_id) == "queued"


def retried(session: Session, taken: Claim) -> None:
    assert fail(session, taken.cohort_id, taken.attempt, Failure("dataset_invalid", "x")) == "failed"
    assert retry_failed(session, taken.experiment_id) == 1


def backed_off(session: Session, _taken: Claim) -> None:
    session.execute(update(CohortRow).values(losses=3, lease_expires_at=1.0))
    assert sweep(session) == 1
    assert session.scalars(select(CohortRow.available_at)).one() > 0.0


@pytest.mark.parametrize("how", [requeued, drained, returned, resumed, retried, backed_off])
def test_what_waits_is_found_after_the_clock_was_set_back(
    database: Database, how: Callable[[Session, Claim], None]
) -> None:
    with database.write() as session:
        make_experiment(session, (1,))
        taken = claim(session, "w", TTL)
        assert taken is not None
        how(session, taken)
        before = session.execute(select(CLOCK)).scalar_one()
    set_back(database)
    with database.write() as session:
        assert session.execute(select(CLOCK)).scalar_one() < before - 3000.0
        assert waiting(session)
        assert claim(session, "w", TTL) is not None


def test_a_backoff_is_waited_for_while_the_clock_goes_right(database: Database) -> None:
    with database.write() as session:
        make_experiment(session, (1,))
        session.execute(update(CohortRow).values(available_at=CLOCK + 200.0))
        assert not waiting(session)
        assert claim(session, "w", TTL) is None
