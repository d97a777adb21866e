"""A PostgreSQL server that crashes under a running study, for a moment and for longer than a lease."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.servers import Postgres, free_port, upgraded
from tests.support.workers import PATIENCE, SHORT_LEASE, Workshop, eventually, workshop_in


@pytest.fixture
def workshop(own_postgres: Postgres, valkey_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """On a database server of this test alone."""
    url = own_postgres.url.render_as_string(hide_password=False)
    (tmp_path / "home").mkdir()
    upgraded(url, tmp_path / "home")
    made = workshop_in(tmp_path, DATABASE_URL=url, BROKER_URL=valkey_url, LEASE_SECONDS=SHORT_LEASE)
    try:
        yield made
        made.close()
    finally:
        made.database.dispose()


@pytest.fixture
def api(workshop: Workshop) -> Iterator[httpx.Client]:
    """A client of an API process beside the workers."""
    port = free_port()
    with (workshop.folder / "api.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "api", "--port", str(port)], env=workshop.environment, stdout=log, stderr=log
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        yield client
    process.terminate()
    assert process.wait(PATIENCE) == 0


def answers(api: httpx.Client, status: int) -> bool:
    try:
        return api.get("/v1/experiments").status_code == status
    except httpx.ConnectError:
        return False


def test_a_crash_of_the_database_costs_seconds_and_no_number(
    own_postgres: Postgres, workshop: Workshop, api: httpx.Client
) -> None:
    worker = workshop.worker(FIRSTLIGHT_SLOTS="2")
    eventually(lambda: answers(api, 200), "the API to start")
    experiment = workshop.submit((2, 1), epochs=150, epoch_seconds=0.05)
    for epoch, outage in ((3, 0.0), (20, 1.2 * workshop.settings.lease_seconds)):
        workshop.wait_epoch(experiment, epoch)
        own_postgres.crash()
        # While the server is away and while it recovers, a client is told to come again.
        assert answers(api, 503)
        assert "Retry-After" in api.get("/v1/experiments").headers
        time.sleep(outage)
        assert worker.poll() is None
        own_postgres.start()
        eventually(lambda: answers(api, 200), "the API to find the database again")
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert worker.poll() is None
    assert [item["id"] for item in api.get("/v1/experiments").json()["items"]] == [experiment]
    # The long outage cost the attempts their leases, and others went on from their checkpoints.
    outcomes = workshop.outcomes(experiment)
    assert outcomes.count("done") == 2
    assert outcomes.count("lost") >= 2
    assert set(outcomes) == {"done", "lost"}
