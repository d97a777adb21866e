"""Processes that sleep, wake when all is over, take others along, or speak a newer language."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from services.cohorts.budgets import MAX_LOSSES
from services.db.tables import CohortRow, WorkerRow
from tests.support.workers import ENDLESS, FAKE, Workshop, eventually

NEWER = """
import json, runpy, sys

class Newer:
    # Says all that it is told to say, and more.
    def __init__(self, stream):
        self.stream = stream
    def write(self, text):
        message = json.loads(text)
        self.stream.write(json.dumps({"type": "weather", "sky": "blue", "v": 99}) + chr(10))
        for epoch in message.get("epochs", ()):
            epoch["mood"] = "good"
        self.stream.write(json.dumps({**message, "v": 99, "more": {"deep": [1]}}) + chr(10))
    def flush(self):
        self.stream.flush()

sys.stdout = Newer(sys.stdout)
runpy.run_path(FAKE, run_name="__main__")
"""


def test_a_child_that_wakes_before_its_worker_stores_nothing(workshop: Workshop) -> None:
    """Row 20: worker and child sleep past the lease; the child alone wakes, and its worker only later.

    The test ends the lease: one that runs out by itself may do so before, on a busy machine.
    """
    zombie = workshop.worker()
    experiment = workshop.submit((2,), epochs=ENDLESS, epoch_seconds=0.05)
    workshop.wait_epoch(experiment, 3)
    (child,) = workshop.children()
    workshop.put_to_sleep(zombie.pid, child)
    with workshop.database.write() as session:
        session.execute(update(WorkerRow).values(host="elsewhere"))
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
    workshop.worker()

    def taken_over() -> bool:
        cohort = workshop.cohort(experiment)
        return cohort.attempt == 2 and cohort.last_epoch > 5

    eventually(taken_over, "a second worker to take over")
    os.kill(child, signal.SIGCONT)
    stood = workshop.cohort(experiment).last_epoch
    workshop.wait_epoch(experiment, stood + 5)
    os.kill(zombie.pid, signal.SIGCONT)
    eventually(lambda: child not in workshop.children(), "the zombie to kill its child")
    eventually(lambda: "fenced" in (workshop.folder / "worker-0.log").read_text(), "the zombie to notice")
    workshop.call_off(experiment)
    assert workshop.outcomes(experiment) == ["lost", "cancelled"]
    assert zombie.poll() is None


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)  # it takes long; `make chaos` strikes the servers
def test_a_study_that_kills_its_workers_fails_and_others_succeed(workshop: Workshop) -> None:
    """Row 23. A supervisor that starts workers again is played by the test, and so is the rest between two attempts."""
    poison = workshop.submit((1,), epochs=5)
    fault = "child.before_epoch:epoch=1:kill_parent"
    deaths = 0
    while workshop.state(poison) != "failed":
        worker = workshop.worker(FIRSTLIGHT_FAULT=fault)
        eventually(
            lambda: workshop.workers[-1].poll() is not None or workshop.state(poison) == "failed",
            f"the worker to be killed\n{workshop.logs()}",
        )
        if workshop.state(poison) == "failed":
            break
        deaths += 1
        assert worker.wait() == -signal.SIGKILL
        with workshop.database.write() as session:
            session.execute(update(CohortRow).values(available_at=0.0))
    assert deaths == MAX_LOSSES
    workshop.check(poison)
    assert workshop.outcomes(poison) == ["lost"] * MAX_LOSSES
    error = workshop.cohort(poison).error
    assert error is not None
    assert error["code"] == "too_many_losses"
    workshop.workers[-1].kill()
    workshop.worker()
    good = workshop.submit((1,), epochs=5)
    assert workshop.wait(good) == "succeeded"
    workshop.check(good)


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_child_of_a_newer_version_is_understood(workshop: Workshop, tmp_path: Path) -> None:
    """Row 29: fields and messages that this code does not know are passed over. Its doorbells carry nothing at all."""
    program = tmp_path / "newer.py"
    program.write_text(NEWER.replace("FAKE", repr(str(FAKE))))
    command: list[Any] = [str(program)]
    code = f"import sys; from worker.program import main; main([], command=[sys.executable, *{command!r}])"
    root = str(Path(__file__).resolve().parents[2])
    workshop.worker(code=code, PYTHONPATH=root)
    experiment = workshop.submit((2,), epochs=10)
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert "child_spoke_nonsense" not in workshop.logs()
