"""The network between the service and its servers: a broker that never answers, replies that get lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, make_url, select, update

from services.db.tables import CohortRow, ExperimentRow
from tests.support.api_process import api_in
from tests.support.proxy import Proxy, proxy_to
from tests.support.workers import PATIENCE, Workshop, eventually

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "activation": ["relu"],
    "initializer": ["he_uniform"],
    "epochs": 3,
    "seeds": 1,
}
MANY = 20


def upstream(url: URL) -> int | Path:
    """Where a PostgreSQL of this machine listens."""
    host = url.query.get("host", url.host or "")
    folder = Path(str(host))
    return folder / ".s.PGSQL.5432" if folder.is_absolute() else url.port or 5432


@pytest.fixture
def database_proxy(workshop: Workshop) -> Iterator[Proxy]:
    with proxy_to(upstream(workshop.database.url)) as proxy:
        yield proxy


def through(proxy: Proxy, workshop: Workshop) -> str:
    url = make_url(str(workshop.database.url)).set(
        host="127.0.0.1", port=proxy.port, query={"sslmode": "disable", "gssencmode": "disable"}
    )
    return url.render_as_string(hide_password=False)


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_broker_that_never_answers_delays_no_answer(workshop: Workshop) -> None:
    """Row 8. A submission that waited for the broker would have seen it fail; most of them are answered without."""
    with proxy_to(1, "black_hole") as broker:
        nowhere = f"redis://127.0.0.1:{broker.port}/0"
        worker = workshop.worker(FIRSTLIGHT_BROKER_URL=nowhere)
        seconds = []
        with api_in(workshop.environment, workshop.folder, broker_url=nowhere) as api:
            ids = []
            for _ in range(MANY):
                answer = api.http.post("/v1/experiments", json=SPEC)
                assert answer.status_code == 202
                ids.append(answer.json()["id"])
                seconds.append(answer.elapsed.total_seconds())
            eventually(lambda: "doorbell_failed" in api.log, "the broker to be tried")
            assert api.log.count("doorbell_failed") < MANY / 2
            print(f"median {1000 * sorted(seconds)[MANY // 2]:.0f} ms, longest {1000 * max(seconds):.0f} ms")
        for experiment in ids:
            assert workshop.wait(experiment) == "succeeded"
            workshop.check(experiment)
        assert broker.accepted > 0
        worker.terminate()
        assert worker.wait(PATIENCE) == 0


@pytest.mark.parametrize("workshop", ["servers"], indirect=True)
def test_a_submission_whose_commit_is_not_answered_is_stored_once(workshop: Workshop, database_proxy: Proxy) -> None:
    """Row 10 at the API: with a key and without one."""
    with api_in(workshop.environment, workshop.folder, database_url=through(database_proxy, workshop)) as api:
        for number, headers in enumerate(({"Idempotency-Key": "once"}, {}), start=1):
            database_proxy.lose_reply(b"INSERT INTO experiments", b"COMMIT")
            answer = api.http.post("/v1/experiments", json=SPEC, headers=headers)
            assert answer.status_code == 202, answer.text
            assert database_proxy.lost == number
            with workshop.database.read() as session:
                stored = list(session.scalars(select(ExperimentRow.id)))
            assert len(stored) == number
            assert answer.json()["id"] in stored


@pytest.mark.parametrize("workshop", ["servers"], indirect=True)
@pytest.mark.parametrize(
    ("statement", "outcomes"),
    [
        ("INSERT INTO attempts", ["lost", "done"]),
        ("INSERT INTO epoch_rows", ["done"]),
        ("INSERT INTO curves", ["done"]),
    ],
    ids=["claim", "epochs", "finish"],
)
def test_a_worker_whose_commit_is_not_answered_doubles_nothing(
    workshop: Workshop, database_proxy: Proxy, statement: str, outcomes: list[str]
) -> None:
    """Row 10 at the worker. A claim that it does not know of is another's when its lease ends."""
    database_proxy.lose_reply(statement.encode(), b"COMMIT")
    worker = workshop.worker(FIRSTLIGHT_DATABASE_URL=through(database_proxy, workshop))
    experiment = workshop.submit((2,), epochs=20)
    eventually(lambda: database_proxy.lost == 1, f"the reply to be lost\n{workshop.logs()}")
    if outcomes[0] == "lost":
        with workshop.database.write() as session:
            session.execute(update(CohortRow).where(CohortRow.attempt == 1).values(lease_expires_at=1.0))
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == outcomes
    assert worker.poll() is None
