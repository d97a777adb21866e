"""Row 13: clocks that go wrong, and are set in the middle of a study, cost no lease and no number."""

import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from services.db.tables import WorkerRow
from tests.support.workers import Workshop

SOURCE = Path(__file__).parents[1] / "support" / "stepped_clock.c"
HOUR = 3600.0


@pytest.fixture(scope="module")
def stepped_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that is preloaded."""
    library = tmp_path_factory.mktemp("clock") / "stepped_clock.so"
    subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return library


class Clock:
    """The clock of the day of one process, wrong by so many seconds."""

    def __init__(self, path: Path, library: Path, seconds: float) -> None:
        self.path = path
        self.environment = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(path)}
        self.path.write_bytes(struct.pack("d", seconds))

    def set(self, seconds: float) -> None:
        with self.path.open("r+b") as file:
            file.write(struct.pack("d", seconds))


def test_clocks_that_are_set_cost_no_lease(workshop: Workshop, stepped_clock: Path, tmp_path: Path) -> None:
    """On PostgreSQL two workers are hours apart. On SQLite the worker's clock is the database's: there is one."""
    ahead = Clock(tmp_path / "ahead", stepped_clock, 2 * HOUR)
    workshop.worker(ahead.environment)
    clocks = [ahead]
    if not workshop.database.is_sqlite:
        behind = Clock(tmp_path / "behind", stepped_clock, -2 * HOUR)
        workshop.worker(behind.environment)
        clocks.append(behind)
    gates = [tmp_path / f"gate-{number}" for number in range(3)]
    first, second = (workshop.submit((1,), epochs=12, gate={"epoch": 4, "mark": str(gates[n])}) for n in range(2))
    for experiment in (first, second)[: len(clocks)]:
        workshop.wait_epoch(experiment, 2)
    with workshop.database.read() as session:
        apart = [
            abs((row.started_at - datetime.now(UTC)).total_seconds()) for row in session.scalars(select(WorkerRow))
        ]
    assert min(apart) > HOUR, "the clocks are right"
    for step in (-2 * HOUR, 3 * HOUR, 0.0):
        for clock in clocks:
            clock.set(step)
        before = {row.id: row.heartbeat_at for row in beats(workshop)}
        wait_for_beats(workshop, before)
    for gate in gates:
        gate.touch()
    for experiment in (first, second):
        assert workshop.wait(experiment) == "succeeded"
        workshop.check(experiment)
        assert workshop.outcomes(experiment) == ["done"]
    assert "fenced" not in workshop.logs()


def beats(workshop: Workshop) -> list[WorkerRow]:
    with workshop.database.read() as session:
        return list(session.scalars(select(WorkerRow)))


def wait_for_beats(workshop: Workshop, before: dict[str, float]) -> None:
    """Until every worker has beaten, swept and renewed since."""
    from tests.support.workers import eventually

    eventually(
        lambda: all(row.heartbeat_at != before.get(row.id) for row in beats(workshop)) and before,
        f"every worker to beat\n{workshop.logs()}",
    )
