"""A process is killed between two lines of its work, at every place that is named: nothing is lost, nothing doubled."""

import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from services.cohorts.requests import request_pause, resume
from services.db.tables import CheckpointRow, CohortRow, ExperimentRow
from tests.support.api_process import ApiProcess, api_in
from tests.support.workers import PATIENCE, Workshop, eventually

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": ["he_uniform"],
    "epochs": 5,
    "seeds": 1,
}
WORKER = (
    "worker.after_claim",
    "worker.before_epochs_commit",
    "worker.after_epochs_commit",
    "worker.before_finish_commit",
    "worker.after_finish_commit",
)
CHILD = (
    "child.before_checkpoint_rename",
    "child.after_checkpoint",
    "child.before_send",
    "child.after_send",
)


def experiments(workshop: Workshop) -> list[str]:
    with workshop.database.read() as session:
        return list(session.scalars(select(ExperimentRow.id)))


def post(api: ApiProcess) -> httpx.Response:
    return api.http.post("/v1/experiments", json=SPEC, headers={"Idempotency-Key": "once"})


def killed_while_posting(workshop: Workshop, point: str) -> None:
    with api_in(workshop.environment, workshop.folder, fault=f"{point}:kill") as api:
        with pytest.raises(httpx.TransportError):
            post(api)
        assert api.process.wait(PATIENCE) == -signal.SIGKILL


def test_an_api_that_dies_around_its_commit_makes_one_experiment_or_none(workshop: Workshop) -> None:
    """Row 16: killed before, nothing is there. Row 15: killed before the bell, a sweep finds the work."""
    killed_while_posting(workshop, "api.before_commit")
    assert experiments(workshop) == []
    killed_while_posting(workshop, "api.after_commit")
    (stored,) = experiments(workshop)
    workshop.worker()
    assert workshop.wait(stored) == "succeeded"
    with api_in(workshop.environment, workshop.folder) as api:
        answer = post(api)
    assert (answer.status_code, answer.json()["id"]) == (202, stored)
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert experiments(workshop) == [stored]
    workshop.check(stored)


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)  # it takes long; `make chaos` strikes the servers
def test_a_worker_killed_at_every_point_costs_nothing_but_time(workshop: Workshop, tmp_path: Path) -> None:
    experiment = workshop.submit((2,), epochs=12)
    for point in WORKER:
        worker = workshop.worker(FIRSTLIGHT_FAULT=f"{point}:once={tmp_path / point}:kill")
        assert worker.wait(PATIENCE) == -signal.SIGKILL, workshop.logs()
        eventually(lambda: not workshop.children(), "the child to die with its worker")
    workshop.worker()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    # What had been stored when the last one was killed needed no other attempt.
    assert workshop.outcomes(experiment) == ["lost"] * (len(WORKER) - 1) + ["done"]


def test_a_child_killed_at_every_point_costs_nothing_but_time(workshop: Workshop, tmp_path: Path) -> None:
    faults = ";".join(f"{point}:once={tmp_path / point}:kill" for point in CHILD)
    experiment = workshop.submit((1,), epochs=12)
    # A trial that stands alone fails at the second crash without a checkpoint between: it is given a budget for all.
    with workshop.database.write() as session:
        session.execute(update(CohortRow).values(failures=-len(CHILD)))
    worker = workshop.worker(FIRSTLIGHT_FAULT=faults, FIRSTLIGHT_CHECKPOINT_SECONDS="0")
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["failed"] * len(CHILD) + ["done"]
    assert worker.poll() is None


def test_a_pause_that_meets_a_checkpoint_is_resumed_elsewhere(workshop: Workshop, tmp_path: Path) -> None:
    """Row 28: the child has written its file and not said so when the pause comes."""
    mark = tmp_path / "mark"
    fault = f"child.after_checkpoint:once={mark}:stop"
    first = workshop.worker(FIRSTLIGHT_FAULT=fault, FIRSTLIGHT_CHECKPOINT_SECONDS="0")
    experiment = workshop.submit((2,), epochs=30)
    eventually(mark.exists, f"a checkpoint\n{workshop.logs()}")
    with workshop.database.write() as session:
        request_pause(session, experiment)
    eventually(lambda: "child_asked_to_stop" in workshop.logs(), "the pause to be heard")
    for child in workshop.children():
        os.kill(child, signal.SIGCONT)
    workshop.wait(experiment, "paused")
    with workshop.database.read() as session:
        assert session.execute(select(func.max(CheckpointRow.epoch))).scalar() is not None
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    workshop.worker()
    with workshop.database.write() as session:
        resume(session, experiment)
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["paused", "done"]
