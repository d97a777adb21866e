"""How long until work goes on: ``python -m bench.recovery [--repetitions N] [--stack embedded|servers] [--only CASE]``.

From the blow to the next epoch that another attempt has stored. There are two workers: one trains a small network with
the real engine, the other waits with a child that has imported all it needs. Leases, heartbeats and sweeps are as
installed. Prints the median, the 95th percentile and the longest time, with the load of the machine.

    child killed      kill -9 of the training process
    worker killed     kill -9 of a worker; another one on the same machine sees that it is dead
    worker drained    SIGTERM to a worker; it gives back what it holds
    host lost         kill -9 of a worker whose death nobody can see: its lease (10 s) has to run out
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from sqlalchemy import select, update

from services.cohorts.requests import request_cancel
from services.db.tables import CohortRow, WorkerRow
from services.experiments.store import create
from services.science.spec import ExperimentSpec
from tests.faults.invariants import breaches
from tests.faults.rig import Kind, Rig, rig_in, watched
from tests.support.workers import eventually

REPETITIONS = 20
LEASE_SECONDS = 10.0
"""As installed, like the heartbeat and the sweep below."""
SETTINGS = {
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "HEARTBEAT_SECONDS": "2",
    "SWEEP_SECONDS": "1",
    "CHECKPOINT_SECONDS": "2",
}
STUDY: dict[str, Any] = {
    "dataset": "digits",
    "activation": ["relu"],
    "initializer": ["he_uniform"],
    "epochs": 10_000,
    "seeds": 1,
    "model": {"kind": "mlp", "hidden": [256, 256]},
}
"""Longer than any measurement; it is called off."""


def _worker_of(rig: Rig) -> int:
    """The process that runs the only cohort."""
    with rig.workshop.database.read() as session:
        query = select(WorkerRow.pid).join(CohortRow, CohortRow.lease_owner == WorkerRow.id)
        return session.execute(query.where(CohortRow.state == "running")).scalar_one()


def _child_killed(rig: Rig) -> None:
    worker = _worker_of(rig)  # no other cohort waits: it has made no spare child
    for child in rig.workshop.children():
        if _parent(child) == worker:
            os.kill(child, signal.SIGKILL)


def _worker_killed(rig: Rig) -> None:
    os.kill(_worker_of(rig), signal.SIGKILL)


def _worker_drained(rig: Rig) -> None:
    os.kill(_worker_of(rig), signal.SIGTERM)


def _host_lost(rig: Rig) -> None:
    pid = _worker_of(rig)
    with rig.workshop.database.write() as session:
        session.execute(update(WorkerRow).where(WorkerRow.pid == pid).values(host="elsewhere", boot_id="another"))
    os.kill(pid, signal.SIGKILL)


CASES: dict[str, Callable[[Rig], None]] = {
    "child killed": _child_killed,
    "worker killed": _worker_killed,
    "worker drained": _worker_drained,
    "host lost": _host_lost,
}


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def measure(rig: Rig, case: str, repetitions: int) -> list[float]:
    """Strike a study that goes on for ever; seconds until its next epoch, each time."""
    seconds: list[float] = []
    experiments: list[str] = []
    while len(seconds) < repetitions:
        _two_workers(rig)
        if not experiments or rig.workshop.cohort(experiments[-1]).last_epoch > STUDY["epochs"] / 2:
            experiments.append(_another(rig, experiments))
        experiment = experiments[-1]
        with rig.workshop.database.write() as session:  # no blow is to meet a rest that an earlier one has earned
            session.execute(update(CohortRow).values(failures=0, losses=0))
        rig.workshop.wait_epoch(experiment, rig.workshop.cohort(experiment).last_epoch + 2)
        seconds.append(_strike(rig, case, experiment))
    _call_off(rig, experiments[-1])
    broken = breaches(rig.workshop.database, rig.workshop.settings.home / "artifacts", over=experiments)
    assert not broken, broken
    return seconds


def _strike(rig: Rig, case: str, experiment: str) -> float:
    attempt, struck = rig.workshop.cohort(experiment).attempt, time.monotonic()
    CASES[case](rig)
    eventually(lambda: rig.workshop.cohort(experiment).attempt > attempt, f"{case}\n{rig.workshop.logs()}")
    rig.workshop.wait_epoch(experiment, rig.workshop.cohort(experiment).last_epoch + 1)
    return time.monotonic() - struck


def _another(rig: Rig, experiments: Sequence[str]) -> str:
    """Queue a study in place of the one that is about to end by itself."""
    if experiments:
        _call_off(rig, experiments[-1])
    with rig.workshop.database.write() as session:
        return create(session, ExperimentSpec.model_validate(STUDY), rig.workshop.settings).id


def _call_off(rig: Rig, experiment: str) -> None:
    with rig.workshop.database.write() as session:
        request_cancel(session, experiment)
    assert rig.workshop.wait(experiment) == "cancelled"


def _two_workers(rig: Rig) -> None:
    """One trains, and one has a child that is ready."""
    for worker in rig.workshop.workers:
        worker.poll()
    while sum(worker.returncode is None for worker in rig.workshop.workers) < 2:
        rig.start_worker()
    eventually(lambda: len(rig.workshop.children()) >= 2, f"two children\n{rig.workshop.logs()}")


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def line(case: str, seconds: Sequence[float]) -> str:
    """One row of the table."""
    columns = (f"{percentile(seconds, share):8.2f}" for share in (0.5, 0.95, 1.0))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{case:16}{len(seconds):5}{''.join(columns)}   load {load}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.recovery", description="Measure how soon work goes on.")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--stack", choices=get_args(Kind), default="servers")
    parser.add_argument("--child", choices=("real", "fake"), default="real")
    parser.add_argument("--only", choices=tuple(CASES), action="append")
    options = parser.parse_args(arguments)
    head = f"{'':16}{'n':>5}{'p50':>8}{'p95':>8}{'max':>8}   seconds"
    sys.stdout.write(f"{options.stack}, {options.child} child, {os.cpu_count()} cores\n{head}\n")
    for case in options.only or CASES:
        with tempfile.TemporaryDirectory() as folder, watched(), rig_in(Path(folder), options.stack, **SETTINGS) as rig:
            rig.real = options.child == "real"
            sys.stdout.write(line(case, measure(rig, case, options.repetitions)) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
