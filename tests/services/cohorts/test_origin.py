"""An experiment's first event says which request submitted it; nothing depends on that."""

import pytest
from sqlalchemy import delete, update

from services.cohorts.claim import claim
from services.cohorts.origin import Origin, origin
from services.db.database import Database
from services.db.tables import EventRow, ExperimentRow
from services.experiments.store import create
from services.experiments.timeline import news
from services.science.spec import ExperimentSpec
from services.settings import Settings

SPEC = {"dataset": "digits", "activation": "relu", "initializer": "he_normal", "epochs": 1, "seeds": 1}
FROM = Origin("a-request", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


@pytest.fixture
def submitted(database: Database) -> str:
    with database.write() as session:
        return create(session, ExperimentSpec.model_validate(SPEC), Settings(), FROM).id


def test_a_claim_knows_where_its_experiment_comes_from(database: Database, submitted: str) -> None:
    with database.write() as session:
        taken = claim(session, "w", 60.0)
    assert taken is not None
    assert taken.origin == FROM
    assert taken.ids == {
        "experiment_id": submitted,
        "cohort_id": taken.cohort_id,
        "attempt": 1,
        "request_id": "a-request",
    }
    assert taken.waited_seconds is not None
    assert 0.0 <= taken.waited_seconds < 3_600.0


def test_readers_of_a_stream_do_not_see_it(database: Database, submitted: str) -> None:
    with database.read() as session:
        first = news(session, submitted, 0, 10).entries[0]
    assert first.data == {"state": "queued", "previous": None}


@pytest.mark.parametrize("payload", [None, [], {"state": "queued"}, {"request_id": 7, "traceparent": ["x"]}, "garbage"])
def test_what_is_gone_or_odd_is_no_origin_and_no_trouble(database: Database, submitted: str, payload: object) -> None:
    first = (EventRow.experiment_id == submitted, EventRow.seq == 1)
    with database.write() as session:
        session.execute(
            delete(EventRow).where(*first)
            if payload is None
            else update(EventRow).where(*first).values(payload=payload)
        )
        assert session.get(ExperimentRow, submitted) is not None
        assert origin(session, submitted) == Origin()
        taken = claim(session, "w", 60.0)
    assert taken is not None
    assert "request_id" not in taken.ids
