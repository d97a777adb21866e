"""Real worker processes on both stacks: work is found, carried through, given back, taken over and called off.

The child is a fake whose numbers are chaotic: had an epoch been lost, doubled or computed from a wrong state, `check`
would see it.
"""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, update

from services.cohorts.requests import request_cancel, request_pause, resume
from services.db.tables import AttemptRow, CheckpointRow, CohortRow, ExperimentRow, TrialRow, WorkerRow
from tests.support.workers import ENDLESS, PATIENCE, SHORT_LEASE, Workshop, eventually

# What the child does and what becomes of files is the same on either stack: one is enough.
ONE_OF_THEM = {stack: pytest.mark.parametrize("workshop", [stack], indirect=True) for stack in ("embedded", "servers")}


def test_work_is_done_and_the_worker_leaves_nothing(workshop: Workshop) -> None:
    worker = workshop.worker()
    experiment = workshop.submit((2, 3), epochs=20, diverge={"4": 7})
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    curves = workshop.curves(experiment)
    assert [len(curves[seed]) for seed in range(5)] == [21, 21, 21, 21, 8]
    assert np.isnan(curves[4][7])
    with workshop.database.read() as session:
        trial = session.scalars(select(TrialRow).where(TrialRow.seed == 0)).one()
        assert (trial.device, trial.energy_joules, trial.energy_method) == ("cpu", 3.0, "made up")
        assert session.scalars(select(WorkerRow)).one().slots == 1
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    with workshop.database.read() as session:
        assert session.scalars(select(WorkerRow)).all() == []
        assert session.scalars(select(CheckpointRow)).all() == []
    assert workshop.children() == []
    assert list((workshop.settings.home / "artifacts" / "cohorts").iterdir()) == []


def test_a_killed_worker_costs_nothing_but_time(workshop: Workshop) -> None:
    first = workshop.worker()
    experiment = workshop.submit((3,), epochs=40, epoch_seconds=0.05)
    workshop.wait_epoch(experiment, 10)
    first.kill()
    first.wait()
    killed = time.monotonic()
    eventually(lambda: not workshop.children(), "the child to die with its worker")
    print(f"child dead {1000 * (time.monotonic() - killed):.0f} ms after its worker")
    before = workshop.cohort(experiment).last_epoch
    workshop.worker()
    workshop.wait_epoch(experiment, before + 1)
    print(f"next epoch {time.monotonic() - killed:.2f} s after the kill (new process on the same machine)")
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["lost", "done"]
    cohort = workshop.cohort(experiment)
    assert (cohort.failures, cohort.interruptions) == (0, 0)


def test_a_worker_of_another_machine_is_waited_for_until_its_lease_ends(workshop: Workshop) -> None:
    first = workshop.worker(FIRSTLIGHT_LEASE_SECONDS=SHORT_LEASE)
    experiment = workshop.submit((2,), epochs=ENDLESS, epoch_seconds=0.05)
    workshop.wait_epoch(experiment, 5)
    with workshop.database.write() as session:
        session.execute(update(WorkerRow).values(host="elsewhere"))
    second = workshop.worker()
    eventually(lambda: len(workshop.children()) == 2, "the second worker to be ready")
    first.kill()
    first.wait()
    killed = time.monotonic()
    before = workshop.cohort(experiment).last_epoch
    workshop.wait_epoch(experiment, before + 1)
    print(f"next epoch {time.monotonic() - killed:.2f} s after the kill (lease {SHORT_LEASE} s)")
    workshop.call_off(experiment)
    assert workshop.outcomes(experiment) == ["lost", "cancelled"]
    assert second.poll() is None


def test_a_drain_gives_everything_back_at_once(workshop: Workshop, tmp_path: Path) -> None:
    first = workshop.worker()
    gate = tmp_path / "gate"  # on a busy machine the study would be over before it is disturbed
    experiment = workshop.submit((2,), epochs=40, epoch_seconds=0.05, gate={"epoch": 20, "mark": str(gate)})
    workshop.wait_epoch(experiment, 5)
    start = time.monotonic()
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    print(f"drained in {time.monotonic() - start:.2f} s")
    cohort = workshop.cohort(experiment)
    assert (cohort.state, cohort.interruptions, cohort.failures, cohort.losses) == ("queued", 1, 0, 0)
    with workshop.database.read() as session:
        saved = session.scalars(select(CheckpointRow.epoch).order_by(CheckpointRow.epoch.desc())).first()
        assert saved == cohort.last_epoch
    assert workshop.children() == []
    gate.touch()
    workshop.worker()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["drained", "done"]


def test_cancel_reaches_a_running_child(workshop: Workshop) -> None:
    worker = workshop.worker()
    experiment = workshop.submit((2, 2), epochs=ENDLESS, epoch_seconds=0.05)
    workshop.wait_epoch(experiment, 2)
    start = time.monotonic()
    with workshop.database.write() as session:
        assert request_cancel(session, experiment) == "running"
        assert request_cancel(session, experiment) == "running"
    assert workshop.wait(experiment) == "cancelled"  # it would go on for ever
    print(f"cancelled in {time.monotonic() - start:.2f} s")
    workshop.check(experiment)
    with workshop.database.read() as session:
        assert set(session.scalars(select(TrialRow.state))) == {"cancelled"}
    after = workshop.submit((1,), epochs=3)
    assert workshop.wait(after) == "succeeded"
    assert worker.poll() is None


def test_pause_and_resume_elsewhere(workshop: Workshop, tmp_path: Path) -> None:
    first = workshop.worker()
    gate = tmp_path / "gate"
    experiment = workshop.submit((2, 1), epochs=40, epoch_seconds=0.05, gate={"epoch": 20, "mark": str(gate)})
    workshop.wait_epoch(experiment, 5)
    with workshop.database.write() as session:
        assert request_pause(session, experiment) == "running"
    workshop.wait(experiment, "paused")
    with workshop.database.read() as session:
        assert set(session.scalars(select(TrialRow.state))) == {"paused"}
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    gate.touch()
    workshop.worker()
    with workshop.database.write() as session:
        assert resume(session, experiment) == "queued"
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    with workshop.database.read() as session:
        assert [(row.failures, row.losses) for row in session.scalars(select(CohortRow))] == [(0, 0), (0, 0)]


@ONE_OF_THEM["servers"]
def test_a_killed_child_is_tried_again_from_its_checkpoint(workshop: Workshop, tmp_path: Path) -> None:
    worker = workshop.worker()
    once = {"action": "kill", "epoch": 20, "mark": str(tmp_path / "mark")}
    experiment = workshop.submit((2,), epochs=30, epoch_seconds=0.02, once=once)
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["failed", "done"]
    cohort = workshop.cohort(experiment)
    assert cohort.size == 2
    assert cohort.error is None
    assert worker.poll() is None


@ONE_OF_THEM["embedded"]
def test_kills_far_apart_cost_no_more_than_the_first(workshop: Workshop, tmp_path: Path) -> None:
    workshop.worker()
    kills = [{"action": "kill", "epoch": epoch, "mark": str(tmp_path / f"mark-{epoch}")} for epoch in (15, 30, 45)]
    experiment = workshop.submit((2,), epochs=50, epoch_seconds=0.03, once=kills)
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["failed", "failed", "failed", "done"]
    assert workshop.cohort(experiment).size == 2  # and no other


@ONE_OF_THEM["embedded"]
def test_the_neighbours_of_a_poisonous_trial_go_on_from_where_they_were(workshop: Workshop) -> None:
    workshop.worker()
    experiment = workshop.submit((4,), epochs=40, epoch_seconds=0.03, kill_seeds=[2], kill_epoch=30)
    assert workshop.wait(experiment) == "failed"
    workshop.check(experiment)
    with workshop.database.read() as session:
        states = dict(session.execute(select(TrialRow.seed, TrialRow.state)).all())
        later = select(AttemptRow.from_epoch).join(CohortRow, CohortRow.id == AttemptRow.cohort_id)
        begun = session.scalars(later.where((AttemptRow.attempt > 1) | CohortRow.parent_id.is_not(None))).all()
    assert states == {seed: "failed" if seed == 2 else "succeeded" for seed in range(4)}
    assert len(begun) >= 4
    assert min(begun) > 0, "a part began at the beginning"


@ONE_OF_THEM["embedded"]
def test_a_child_that_exits_without_a_word_has_failed(workshop: Workshop, tmp_path: Path) -> None:
    workshop.worker()
    once = {"action": "exit", "epoch": 3, "mark": str(tmp_path / "mark")}
    experiment = workshop.submit((1,), epochs=5, once=once)
    assert workshop.wait(experiment) == "succeeded"
    assert workshop.outcomes(experiment) == ["failed", "done"]


@ONE_OF_THEM["embedded"]
def test_a_hung_child_is_killed_and_tried_again(workshop: Workshop, tmp_path: Path) -> None:
    workshop.worker(FIRSTLIGHT_HUNG_SECONDS="6")
    once = {"action": "stop", "epoch": 3, "mark": str(tmp_path / "mark")}
    experiment = workshop.submit((1,), epochs=5, once=once)
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["failed", "done"]


@ONE_OF_THEM["embedded"]
def test_a_poisonous_trial_fails_alone(workshop: Workshop) -> None:
    worker = workshop.worker()
    experiment = workshop.submit((8,), epochs=5, kill_seeds=[3])
    assert workshop.wait(experiment) == "failed"
    workshop.check(experiment)
    with workshop.database.read() as session:
        states = dict(session.execute(select(TrialRow.seed, TrialRow.state)).all())
        error = session.scalars(select(ExperimentRow.error)).one()
    assert states == {seed: "failed" if seed == 3 else "succeeded" for seed in range(8)}
    assert error is not None
    assert error["code"] == "crash"
    assert "signal 9" in error["detail"]
    assert worker.poll() is None


@ONE_OF_THEM["servers"]
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(workshop: Workshop) -> None:
    first = workshop.worker()
    experiment = workshop.submit((2,), epochs=40, epoch_seconds=0.05)

    def saved() -> list[CheckpointRow]:
        with workshop.database.read() as session:
            return list(session.scalars(select(CheckpointRow).order_by(CheckpointRow.epoch.desc())))

    eventually(lambda: len(saved()) == 2, "two checkpoints")
    first.kill()
    first.wait()
    newest = workshop.settings.home / "artifacts" / saved()[0].path
    newest.write_bytes(newest.read_bytes()[:-3] + b"xyz")
    workshop.worker()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert "checkpoints_damaged" in workshop.logs()


@ONE_OF_THEM["embedded"]
def test_every_checkpoint_gone_means_from_the_beginning(workshop: Workshop) -> None:
    first = workshop.worker()
    experiment = workshop.submit((2,), epochs=25, epoch_seconds=0.05)
    workshop.wait_epoch(experiment, 8)
    first.kill()
    first.wait()
    for path in (workshop.settings.home / "artifacts").rglob("*.npz"):
        path.unlink()
    workshop.worker()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
