"""Faults around the worker: a zombie, a broker that forgets or was never there, a database that drops connections."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, update

from services.db.tables import AttemptRow, CohortRow, WorkerRow
from services.queue import CeleryDoorbell, make_app
from tests.support.servers import free_port
from tests.support.workers import ENDLESS, PATIENCE, SHORT_LEASE, Workshop, eventually


def test_a_zombie_is_fenced(workshop: Workshop) -> None:
    zombie = workshop.worker(FIRSTLIGHT_LEASE_SECONDS=SHORT_LEASE)
    experiment = workshop.submit((2,), epochs=ENDLESS, epoch_seconds=0.1)
    workshop.wait_epoch(experiment, 3)
    child = eventually(workshop.children, "the zombie's child")[0]
    with workshop.database.write() as session:
        session.execute(update(WorkerRow).values(host="elsewhere"))
    workshop.put_to_sleep(zombie.pid)
    heir = workshop.worker()

    def taken_over() -> bool:
        cohort = workshop.cohort(experiment)
        return cohort.attempt == 2 and cohort.last_epoch > 5

    eventually(taken_over, "a second worker to take over")
    os.kill(zombie.pid, signal.SIGCONT)
    eventually(lambda: child not in workshop.children(), "the zombie to kill its child")
    eventually(lambda: "fenced" in (workshop.folder / "worker-0.log").read_text(), "the zombie to notice")
    workshop.call_off(experiment)
    assert workshop.outcomes(experiment) == ["lost", "cancelled"]
    with workshop.database.read() as session:
        assert len(set(session.scalars(select(AttemptRow.worker_id)))) == 2
    assert zombie.poll() is None
    assert heir.poll() is None


def test_a_broker_that_was_never_there_costs_nothing_but_a_sweep(workshop: Workshop) -> None:
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    worker = workshop.worker(FIRSTLIGHT_BROKER_URL=nobody)
    experiments = [workshop.submit((1,), epochs=3) for _ in range(3)]
    for experiment in experiments:
        assert workshop.wait(experiment) == "succeeded"
        workshop.check(experiment)
    start = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    print(f"ended in {time.monotonic() - start:.2f} s without a broker")


def test_a_signal_that_lands_on_another_thread_is_heard(workshop: Workshop) -> None:
    worker = workshop.worker()
    assert workshop.wait(workshop.submit((1,), epochs=3)) == "succeeded"  # by now the main thread is asleep
    others = [int(path.name) for path in Path(f"/proc/{worker.pid}/task").iterdir() if int(path.name) != worker.pid]
    assert ctypes.CDLL(None, use_errno=True).tgkill(worker.pid, others[0], signal.SIGTERM) == 0
    assert worker.wait(PATIENCE) == 0


def test_doubled_and_forged_doorbells_do_no_harm(workshop: Workshop) -> None:
    workshop.worker(FIRSTLIGHT_SLOTS="3")
    workshop.worker()
    app = make_app(workshop.settings, publisher=True)
    experiments = []
    for number in range(6):
        experiments.append(workshop.submit((1, 1), epochs=4))
        for _ in range(20):
            app.send_task("firstlight.wake", queue="firstlight", retry=False)
        app.send_task("firstlight.wake", args=[number, {"cohort": "coh_forged"}], queue="firstlight", retry=False)
        app.send_task("no.such.task", args=["x" * 1000], queue="firstlight", retry=False)
    for experiment in experiments:
        assert workshop.wait(experiment) == "succeeded"
        workshop.check(experiment)
    with workshop.database.read() as session:
        assert set(session.scalars(select(CohortRow.attempt))) == {1}
    again = workshop.submit((1,), epochs=2)
    assert workshop.wait(again) == "succeeded"
    assert [worker.poll() for worker in workshop.workers] == [None, None]


def test_a_doorbell_wakes_a_worker_whose_sweep_is_far_away(workshop: Workshop) -> None:
    workshop.worker(FIRSTLIGHT_SWEEP_SECONDS="300")
    eventually(workshop.children, "the worker to be ready")
    warm = workshop.submit((1,), epochs=1)
    bell = CeleryDoorbell(workshop.settings)
    bell.ring()
    assert workshop.wait(warm) == "succeeded"
    start = time.monotonic()
    experiment = workshop.submit((1,), epochs=1)
    bell.ring()
    eventually(lambda: workshop.state(experiment) != "queued", "the doorbell to be heard")
    print(f"claimed {1000 * (time.monotonic() - start):.0f} ms after the commit")
    assert workshop.wait(experiment) == "succeeded"
    assert bell.healthy
    bell.close()


def test_a_broker_that_forgets_everything(workshop: Workshop, request: pytest.FixtureRequest) -> None:
    if workshop.settings.broker.startswith("filesystem"):
        folder = workshop.settings.home / "broker" / "messages"

        def forget() -> None:
            for path in folder.glob("*"):
                path.unlink(missing_ok=True)
    else:
        forget = request.getfixturevalue("valkey_server").client().flushall
    workshop.worker()
    bell = CeleryDoorbell(workshop.settings)
    experiments = []
    for _ in range(5):
        experiments.append(workshop.submit((1,), epochs=5, epoch_seconds=0.02))
        bell.ring()
        forget()
    for experiment in experiments:
        forget()
        assert workshop.wait(experiment) == "succeeded"
        workshop.check(experiment)
    bell.close()


def test_dropped_database_connections_are_healed(workshop: Workshop) -> None:
    if workshop.database.is_sqlite:
        # SQLite has no connections to drop; its counterpart is a writer that holds the lock for a while.
        def disturb() -> None:
            with workshop.database.write():
                time.sleep(0.5)
    else:

        def disturb() -> None:
            url = workshop.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                    "AND pid <> pg_backend_pid() AND application_name LIKE '%worker%'"
                )

    workshop.worker()
    experiment = workshop.submit((2,), epochs=40, epoch_seconds=0.05)
    for epoch in (2, 8, 14, 20):
        workshop.wait_epoch(experiment, epoch)
        disturb()
    assert workshop.wait(experiment) == "succeeded"
    workshop.check(experiment)
    assert workshop.outcomes(experiment) == ["done"]


def test_the_child_sees_no_credentials_and_the_parent_no_torch(workshop: Workshop) -> None:
    worker = workshop.worker(FIRSTLIGHT_API_KEYS="canary-secret")
    experiment = workshop.submit((1,), epochs=ENDLESS, epoch_seconds=0.05)
    workshop.wait_epoch(experiment, 1)
    for child in workshop.children():
        entries = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        names = {entry.partition(b"=")[0].decode() for entry in entries if entry}
        own = {name for name in names if name.startswith("FIRSTLIGHT_")}
        assert own == {"FIRSTLIGHT_WORKER", "FIRSTLIGHT_TESTING"}
    assert "libtorch" not in Path(f"/proc/{worker.pid}/maps").read_text()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    assert "canary-secret" not in workshop.logs()


def test_a_database_without_a_schema_is_named_as_the_problem(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    environment = {**clean, "FIRSTLIGHT_HOME": str(tmp_path), "FIRSTLIGHT_DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-m", "worker"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "run `python -P -m migrations` first" in done.stderr


def test_no_module_of_the_worker_imports_torch() -> None:
    code = "import sys, worker.program; assert 'torch' not in sys.modules, 'torch was imported'"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
