"""What a worker counts of attempts, leases and refused writes, and where it shows that."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from services.cohorts.claim import claim
from services.cohorts.failure import Failure
from services.cohorts.sweep import sweep
from services.db.database import Database
from services.db.tables import CohortRow
from services.heartbeat import boottime
from services.measurements import FOLDER
from services.settings import Settings
from tests.support.experiments import make_experiment
from tests.support.servers import free_port
from tests.support.supervising import fake, settings_of, supervisor, taken_from
from tests.support.workers import eventually
from worker import slot as slot_module
from worker.attempt_record import AttemptRecord
from worker.bell import Bell
from worker.counting import Counting
from worker.devices import Devices
from worker.identity import identity
from worker.lease import Lease
from worker.maintenance import Maintenance
from worker.slot import Slot
from worker.telemetry import ATTEMPTS, Telemetry

ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def counted(telemetry: Telemetry, name: str) -> dict[str, float]:
    """Those values of a counter's one label that are not nought."""
    samples = (sample for metric in telemetry.registry.collect() for sample in metric.samples)
    counts = {next(iter(one.labels.values())): one.value for one in samples if one.name == f"firstlight_worker_{name}"}
    assert counts, f"there is no {name}"
    return {label: value for label, value in counts.items() if value}


@ONE
@pytest.mark.parametrize(("code", "label"), [("oom", "oom"), ("exp_made_up", "other")])
def test_a_failed_attempt_is_counted_with_its_code(database: Database, tmp_path: Path, code: str, label: str) -> None:
    telemetry, taken = Telemetry(), taken_from(database, crash_seeds=[0], crash_code=code)
    settings = settings_of(database, tmp_path, lease_seconds=60.0, heartbeat_seconds=30.0)
    one = supervisor(database, settings, taken, fake(settings), record=AttemptRecord(telemetry, taken, boottime()))
    one.run()
    assert counted(telemetry, "attempts_total") == {"failed": 1.0}
    assert counted(telemetry, "failures_total") == {label: 1.0}


@ONE
def test_a_write_of_a_cohort_that_is_anothers_is_counted(database: Database, tmp_path: Path) -> None:
    settings = settings_of(database, tmp_path, lease_seconds=60.0, heartbeat_seconds=30.0)
    telemetry, taken = Telemetry(), taken_from(database)
    with database.write() as session:
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
        assert sweep(session) == 1
        assert claim(session, "heir", 1000.0) is not None
    record = AttemptRecord(telemetry, taken, boottime())
    assert supervisor(database, settings, taken, fake(settings), record=record).run() == "fenced"
    assert counted(telemetry, "fenced_writes_total") == {"start": 1.0}
    assert counted(telemetry, "attempts_total") == {"fenced": 1.0}
    assert counted(telemetry, "failures_total") == {}


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [
        ("succeeded", "done"),
        ("queued", "drained"),
        ("paused", "paused"),
        ("cancelled", "cancelled"),
        ("fenced", "fenced"),
    ],
)
def test_every_end_of_an_attempt_has_a_name_that_is_known(database: Database, verdict: str, outcome: str) -> None:
    telemetry = Telemetry()
    record = AttemptRecord(telemetry, taken_from(database), boottime())
    record.ended(verdict, None)
    assert counted(telemetry, "attempts_total") == {outcome: 1.0}
    record.ended("split", Failure("crash", "its last words"))
    assert counted(telemetry, "attempts_total") == {outcome: 1.0, "failed": 1.0}
    assert {"failed", outcome} <= set(ATTEMPTS)


@ONE
def test_renewals_and_the_loss_of_a_lease_are_counted_in_the_threads_that_see_them(
    database: Database, tmp_path: Path
) -> None:
    settings = settings_of(database, tmp_path, lease_seconds=60.0, heartbeat_seconds=0.1)
    telemetry, taken = Telemetry(), taken_from(database)
    child: Any = SimpleNamespace(kill=lambda: None)
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        with structlog.contextvars.bound_contextvars(**taken.ids):
            lease = Lease(database, settings, taken, child, boottime(), telemetry)
        lease.start()
        eventually(lambda: counted(telemetry, "lease_renewals_total").get("renewed"), "a renewal")
        with database.write() as session:
            session.execute(update(CohortRow).values(attempt=7))
        eventually(lease.lost.is_set, "the lease to be lost")
        eventually(lambda: counted(telemetry, "leases_lost_total"), "the loss to be counted")
        eventually(lambda: lines, "a line about it")
    lease.stop()
    assert counted(telemetry, "leases_lost_total") == {"taken": 1.0}
    assert counted(telemetry, "lease_renewals_total")["refused"] == 1.0
    (line,) = lines
    assert line["event"] == "fenced"
    assert {name: line[name] for name in taken.ids} == taken.ids


@ONE
def test_cohorts_taken_back_are_counted_with_the_reason(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    telemetry = Telemetry()
    settings = settings_of(database, tmp_path)
    keeper = Maintenance(
        "w",
        identity(1),
        database,
        settings,
        Bell(),
        devices=Devices(settings),
        register=lambda _: None,
        draining=lambda: False,
        working=lambda: True,
        held=list,
        telemetry=telemetry,
    )
    taken = taken_from(database)
    with database.write() as session:
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
    with structlog.testing.capture_logs() as lines:
        keeper.sweep()
    assert counted(telemetry, "lease_expiries_total") == {"silent": 1.0}
    assert [line["event"] for line in lines] == ["cohort_taken_back", "leases_ran_out"]
    assert (lines[0]["experiment_id"], lines[0]["cohort_id"]) == (taken.experiment_id, taken.cohort_id)
    with database.write() as session:
        session.execute(update(CohortRow).values(available_at=0.0))
        assert claim(session, "killed", 1000.0) is not None
    monkeypatch.setattr("worker.maintenance.workers.neighbours", lambda *_: [("killed", identity(1))])
    monkeypatch.setattr("worker.maintenance.lives", lambda _: False)
    keeper.sweep()
    assert counted(telemetry, "lease_expiries_total") == {"silent": 1.0, "dead": 1.0}


@ONE
def test_trouble_of_the_workers_own_is_counted_and_its_lines_name_the_experiment(
    slot: Slot, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(slot_module, "REST_SECONDS", 0.0)
    monkeypatch.setattr(slot_module, "Supervisor", broken)
    with database.write() as session:
        experiment = make_experiment(session, (2,))
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        assert slot._work()
    assert counted(slot._telemetry, "attempts_total") == {"returned": 1.0}
    assert [line["event"] for line in lines] == ["attempt_started", "attempt_broke_off"]
    assert {line["experiment_id"] for line in lines} == {experiment}
    assert structlog.contextvars.get_contextvars() == {}, "nothing of it is left for the next cohort"


@pytest.fixture
def counting(tmp_path: Path) -> Any:
    made: list[Counting] = []

    def start(telemetry: Telemetry, **settings: Any) -> Counting:
        one = Counting(Settings(home=tmp_path / "home", **settings), telemetry)
        made.append(one)
        one.start()
        return one

    yield start
    for one in made:
        one.close()


def test_a_port_shows_one_worker(counting: Callable[..., Counting]) -> None:
    telemetry, port = Telemetry(), free_port()
    telemetry.attempts.labels("done").inc(3)
    counting(telemetry, metrics_port=port)
    with socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"no HTTP\r\n\r\n")
        rude.recv(100)
    for _ in range(2):
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        samples = {
            tuple(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == "firstlight_worker_attempts_total"
        }
        assert samples[("done",)] == 3.0
    accepts = {"Accept": "application/openmetrics-text; version=1.0.0"}
    assert httpx.get(f"http://127.0.0.1:{port}", headers=accepts).text.endswith("# EOF\n")


def test_without_a_port_nothing_listens(counting: Callable[..., Counting]) -> None:
    before = threading.active_count()
    counting(Telemetry())
    assert threading.active_count() == before


def test_a_port_or_a_folder_that_cannot_be_had_costs_a_line_and_no_work(
    counting: Callable[..., Counting], tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / FOLDER).write_text("a file in the way")
    with socket.create_server(("127.0.0.1", 0)) as taken, structlog.testing.capture_logs() as lines:
        one = counting(Telemetry(), metrics_port=taken.getsockname()[1])
        one.write()
    assert [line["event"] for line in lines] == ["metrics_port_not_served", "measurements_not_kept"]


def test_a_disk_that_is_full_is_told_once(counting: Callable[..., Counting], tmp_path: Path) -> None:
    telemetry = Telemetry()
    one = counting(telemetry)
    in_the_way = tmp_path / "home" / FOLDER / "0.json"
    in_the_way.mkdir()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            one.write()
        in_the_way.rmdir()
        one.write()
        assert in_the_way.is_file()
    assert [line["event"] for line in lines] == ["measurements_not_kept"]
