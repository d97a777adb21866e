"""Everything at once: all workers and the database start again, or a newer version has changed the schema."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select, text

from services.db.tables import AttemptRow, CohortRow
from tests.support.servers import Postgres, upgraded
from tests.support.workers import Workshop, eventually, workshop_in

EXPERIMENTS, COHORTS = 3, 8
LASTING = {"FIRSTLIGHT_SLOTS": "2", "FIRSTLIGHT_LEASE_SECONDS": "600"}
"""No lease runs out by itself, on however busy a machine: what is lost was killed."""
LATER = (
    "ALTER TABLE cohorts ADD COLUMN mood VARCHAR(16)",
    "ALTER TABLE trials ADD COLUMN weight FLOAT DEFAULT 1.0 NOT NULL",
    "CREATE TABLE moods (name VARCHAR(16) PRIMARY KEY)",
    "CREATE INDEX ix_trials_weight ON trials (weight)",
    "UPDATE alembic_version SET version_num = 'ffffffffffff'",
)
"""What a later migration may do while older code runs: add what it does not look at."""


@pytest.fixture
def crashing(own_postgres: Postgres, valkey_url: str, tmp_path: Path) -> Iterator[Workshop]:
    """On a database server of this test alone."""
    url = own_postgres.url.render_as_string(hide_password=False)
    (tmp_path / "home").mkdir()
    upgraded(url, tmp_path / "home")
    made = workshop_in(tmp_path, DATABASE_URL=url, BROKER_URL=valkey_url)
    try:
        yield made
        made.close()
    finally:
        made.database.dispose()


def storm(workshop: Workshop, server: Postgres | None) -> None:
    """Kill all that works in the middle of much work, start it again at once, and again what the start has killed."""
    experiments = [workshop.submit((1,) * COHORTS, epochs=3) for _ in range(EXPERIMENTS)]

    def finished() -> int:
        with workshop.database.read() as session:
            return session.execute(select(func.count()).where(CohortRow.state == "succeeded")).scalar_one()

    first = [workshop.worker(LASTING) for _ in range(2)]
    eventually(lambda: finished() >= COHORTS // 2, f"some to be done\n{workshop.logs()}")
    for worker in first:
        worker.kill()
    if server is not None:
        server.crash()
    for worker in first:
        worker.wait()
    running = [workshop.worker(LASTING) for _ in range(2)]
    if server is not None:
        server.start()

    def done() -> bool:
        for place, worker in enumerate(running):
            if worker.poll() is not None:
                running[place] = workshop.worker(LASTING)
        return all(workshop.state(experiment) == "succeeded" for experiment in experiments)

    eventually(done, f"all to be done\n{workshop.logs()}")
    for experiment in experiments:
        workshop.check(experiment)
    with workshop.database.read() as session:
        outcomes = dict(session.execute(select(AttemptRow.outcome, func.count()).group_by(AttemptRow.outcome)).all())
    assert outcomes.pop("done") == EXPERIMENTS * COHORTS
    assert outcomes.get("lost", 0) <= 4, outcomes  # what the four slots held


def test_a_storm_of_restarts_of_workers_and_database(crashing: Workshop, own_postgres: Postgres) -> None:
    """Row 36."""
    storm(crashing, own_postgres)


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_storm_of_restarts_of_workers(workshop: Workshop) -> None:
    """Row 36 where the database is a file."""
    storm(workshop, None)


def later(connection: Connection) -> None:
    for statement in LATER:
        connection.execute(text(statement))


def test_a_newer_schema_under_running_and_starting_older_code(workshop: Workshop, tmp_path: Path) -> None:
    """Row 30, as a rolling upgrade meets it: the migration comes first, this code runs on.

    Beside a server it is even started again; an embedded service, which would migrate, says that a newer one has.
    """
    gate = tmp_path / "gate"
    first = workshop.worker()
    experiment = workshop.submit((2,), epochs=10, gate={"epoch": 5, "mark": str(gate)})
    workshop.wait_epoch(experiment, 3)
    with workshop.database.write_engine.begin() as connection:
        later(connection)
    gate.touch()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["done"]
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 0
    second = workshop.worker()
    if workshop.database.is_sqlite:
        assert second.wait() == 1
        assert "a newer Firstlight has upgraded it" in workshop.logs()
        return
    again = workshop.submit((2,), epochs=10)
    eventually(lambda: workshop.state(again) == "succeeded" or second.poll() is not None, "the second to work")
    assert second.poll() is None, workshop.logs()
    workshop.check(again)
