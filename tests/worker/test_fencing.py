"""A worker that cannot keep its lease ends its child: that is never booked as a failure of the experiment."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from services.cohorts.claim import claim
from services.cohorts.sweep import sweep
from services.db.clock import CLOCK
from services.db.database import Database
from services.db.tables import AttemptRow, CohortRow
from services.heartbeat import boottime
from tests.support.supervising import fake, settings_of, supervisor, taken_from
from tests.support.workers import ENDLESS, SHORT_LEASE, Workshop, eventually
from worker import lease as lease_module
from worker import maintenance as maintenance_module
from worker.bell import Bell
from worker.devices import Devices
from worker.identity import identity
from worker.lease import Lease
from worker.maintenance import Maintenance

ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LONG_AGO = 1e5
"""Seconds; a machine that slept for a day."""


def row(database: Database) -> CohortRow:
    with database.read() as session:
        return session.scalars(select(CohortRow)).one()


def outcomes(database: Database) -> list[str | None]:
    with database.read() as session:
        return list(session.scalars(select(AttemptRow.outcome)))


@ONE
def test_a_fence_is_not_booked_as_a_crash(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a child that the lease has killed is seen before `kill` returns: the race, always lost."""

    def away(*_: Any) -> None:
        raise OperationalError("renew", {}, Exception("the database is away"))

    monkeypatch.setattr(lease_module, "renew", away)
    settings = settings_of(database, tmp_path, lease_seconds=1.5, heartbeat_seconds=0.2)
    taken = taken_from(database, epoch_seconds=600)
    child = fake(settings)
    one = supervisor(database, settings, taken, child)
    child.told = one._lease.lost.is_set
    assert one.run() == "fenced"
    assert child.kills[0], "killed before it was said why"
    cohort = row(database)
    assert (cohort.state, cohort.failures, cohort.losses, cohort.size) == ("queued", 0, 0, 2)
    assert outcomes(database) == ["lost"]


@ONE
def test_whoever_wakes_late_goes_on_when_nobody_took_over(database: Database, tmp_path: Path) -> None:
    settings = settings_of(database, tmp_path, lease_seconds=60.0, heartbeat_seconds=30.0)
    taken = taken_from(database)
    child = fake(settings)
    lease = Lease(database, settings, taken, child, boottime() - LONG_AGO)
    with database.write() as session:
        session.execute(update(CohortRow).values(lease_expires_at=CLOCK - LONG_AGO))
    lease.start()
    eventually(lambda: not lease.doubtful or lease.lost.is_set(), "the database to be asked")
    assert not lease.lost.is_set()
    assert child.kills == []
    with database.read() as session:
        assert session.scalars(select(CohortRow.lease_expires_at > CLOCK)).one()
    lease.stop()
    child.end()


@ONE
def test_whoever_wakes_late_gives_way_to_who_took_over(database: Database, tmp_path: Path) -> None:
    settings = settings_of(database, tmp_path, lease_seconds=60.0, heartbeat_seconds=30.0)
    taken = taken_from(database)
    child = fake(settings)
    with database.write() as session:
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
        assert sweep(session) == 1
        heir = claim(session, "heir", 1000.0)
    assert heir is not None
    assert supervisor(database, settings, taken, child, claimed_at=boottime() - LONG_AGO).run() == "fenced"
    cohort = row(database)
    assert (cohort.state, cohort.lease_owner, cohort.attempt, cohort.failures) == ("running", "heir", 2, 0)


@ONE
def test_a_lease_does_not_stand_in_line_behind_commits(database: Database, tmp_path: Path) -> None:
    """The one writing connection is held by somebody who has not begun to write."""
    settings = settings_of(database, tmp_path, lease_seconds=60.0, heartbeat_seconds=0.1)
    taken = taken_from(database)
    child = fake(settings)
    with database.write() as session:
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
    held = database.write_engine.raw_connection()
    lease = Lease(database, settings, taken, child, boottime())
    try:
        lease.start()
        eventually(lambda: row(database).lease_expires_at > 1.0, "the lease to be renewed", patience=3.0)
    finally:
        lease.stop()
        held.close()
        child.end()


@ONE
def test_the_silence_of_our_own_sleep_is_not_the_childs(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(database, tmp_path, lease_seconds=60.0)
    child = fake(settings)
    one = supervisor(database, settings, taken_from(database), child)
    slept, real = threading.Event(), time.monotonic
    taken_out = child.receive

    def receive(timeout: float) -> None:
        if slept.is_set():
            child.process.kill()
            taken_out(timeout)  # a fast child has said that it is ready
        slept.set()

    monkeypatch.setattr(child, "receive", receive)
    monkeypatch.setattr(time, "monotonic", lambda: real() + (LONG_AGO if slept.is_set() else 0.0))
    one._converse()
    assert one._failure is None
    monkeypatch.undo()
    child.end()


@ONE
def test_a_signal_to_the_whole_family_is_no_crash(database: Database, tmp_path: Path) -> None:
    """As a service manager sends it: the child is gone before the worker's slots have heard."""
    settings = settings_of(database, tmp_path, lease_seconds=60.0)
    taken = taken_from(database, epoch_seconds=600)
    child = fake(settings)
    one = supervisor(database, settings, taken, child, draining=lambda: child.process.returncode is not None)

    def signal_all() -> None:
        eventually(lambda: row(database).device, "the child to begin")
        child.process.send_signal(signal.SIGTERM)

    thread = threading.Thread(target=signal_all, daemon=True)
    thread.start()
    assert one.run() == "queued"
    thread.join()
    assert (row(database).failures, outcomes(database)) == (0, ["drained"])


@ONE
def test_a_sweeper_that_slept_lets_the_others_renew_first(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that wakes wakes all its workers: whoever sweeps first must not take from the living."""
    now = [1000.0]
    monkeypatch.setattr(maintenance_module, "boottime", lambda: now[0])
    settings = settings_of(database, tmp_path, sweep_seconds=1.0, heartbeat_seconds=2.0)
    maintenance = Maintenance(
        "wrk_1",
        identity(os.getpid()),
        database,
        settings,
        Bell(),
        devices=Devices(settings),
        register=lambda _session: None,
        draining=lambda: False,
        working=lambda: True,
        held=list,
    )
    taken_from(database)
    maintenance.sweep()
    now[0] += 3600.0
    with database.write() as session:
        session.execute(update(CohortRow).values(lease_expires_at=1.0))
    states: list[str] = []
    for _ in range(6):
        maintenance.sweep()
        states.append(row(database).state)
        now[0] += 1.0
    assert states == ["running"] * 4 + ["queued"] * 2  # two heartbeats are waited for


@pytest.mark.parametrize("workshop", ["embedded"], indirect=True)
def test_a_worker_that_slept_past_its_lease_loses_nothing(workshop: Workshop) -> None:
    worker = workshop.worker(FIRSTLIGHT_LEASE_SECONDS=SHORT_LEASE)
    experiment = workshop.submit((2,), epochs=ENDLESS, epoch_seconds=0.05)
    workshop.wait_epoch(experiment, 3)

    def over() -> bool:
        with workshop.database.read() as session:
            return session.scalars(select(func.max(CohortRow.lease_expires_at) < CLOCK - 1.0)).one()

    worker.send_signal(signal.SIGSTOP)
    eventually(over, "the lease to run out")
    before = workshop.cohort(experiment).last_epoch
    worker.send_signal(signal.SIGCONT)
    workshop.wait_epoch(experiment, before + 3)
    workshop.call_off(experiment)
    cohort = workshop.cohort(experiment)
    assert (cohort.failures, cohort.losses, cohort.size, cohort.attempt) == (0, 0, 2, 1)
    assert workshop.outcomes(experiment) == ["cancelled"]
