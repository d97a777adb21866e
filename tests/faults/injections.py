"""The faults that chaos chooses from. Each is drawn from a seeded generator, strikes, and says what it has struck.

Budgets are kept: a cohort that has failed, or was lost twice, since its last checkpoint is not struck again, for a
study that fails after that has failed rightly, and would show nothing.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from numpy.random import Generator
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from services.cohorts.requests import request_pause, resume
from services.db.tables import CheckpointRow, CohortRow, ExperimentRow, WorkerRow
from services.errors import ConflictError
from tests.faults.rig import Rig
from tests.support.workers import PATIENCE, eventually

LOSSES_LEFT_ALONE = 2
LONGEST_SLEEP_LEASES = 1.5
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@dataclass
class Injector:
    """Strikes one rig. Its first worker is a witness: whatever happens around it, it is never ended."""

    rig: Rig
    dice: Generator
    counts: dict[str, int] = field(default_factory=dict)
    _asleep: dict[int, float] = field(default_factory=dict)

    def strike(self) -> str:
        """Choose a fault that fits, do it, and say what it was."""
        self.wake(due=True)
        faults = self._faults()
        for name in map(str, self.dice.permutation(list(faults))):
            with suppress(ProcessLookupError, SQLAlchemyError):
                struck = faults[name]()
                if struck is not None:
                    self.counts[name] = self.counts.get(name, 0) + 1
                    return f"{name}: {struck}"
        return "nothing: there was nothing to strike"

    def wake(self, *, due: bool = False) -> None:
        """Wake the processes that were stopped, or those whose time has come."""
        for pid, end in list(self._asleep.items()):
            if not due or time.monotonic() >= end:
                del self._asleep[pid]
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _faults(self) -> dict[str, Callable[[], str | None]]:
        faults = {
            "worker killed": self._kill_worker,
            "worker drained": self._drain_worker,
            "worker asleep": self._stop_worker,
            "child killed": self._kill_child,
            "child asleep": self._stop_child,
            "API killed": self._kill_api,
            "broker emptied": self._flush,
            "checkpoint damaged": self._damage,
            "paused, resumed": self._pause,
        }
        if self.rig.postgres is not None:
            faults |= {"database crashed": self._crash, "connections cut": self._cut, "broker restarted": self._broker}
        else:
            faults["database locked"] = self._lock
        return faults

    def _mortal(self) -> int | None:
        """The place of a worker that may be ended; None when a cohort has lost its worker often enough."""
        with self.rig.workshop.database.read() as session:
            lost = session.scalars(
                select(CohortRow.id).where(
                    CohortRow.state.in_(("queued", "running")), CohortRow.losses >= LOSSES_LEFT_ALONE
                )
            ).first()
        living = [
            place
            for place, worker in enumerate(self.rig.workshop.workers)
            if place > 0 and worker.poll() is None and worker.pid not in self._asleep
        ]
        return None if lost or not living else int(self.dice.choice(living))

    def _kill_worker(self) -> str | None:
        if (place := self._mortal()) is None:
            return None
        worker = self.rig.workshop.workers[place]
        worker.kill()
        worker.wait()
        self.rig.start_worker()
        return f"number {place}"

    def _drain_worker(self) -> str | None:
        if (place := self._mortal()) is None:
            return None
        worker = self.rig.workshop.workers[place]
        worker.terminate()
        status = worker.wait(PATIENCE)
        self.rig.start_worker()
        ready = "worker_ready" in (self.rig.workshop.folder / f"worker-{place}.log").read_text("utf-8", "replace")
        # One that has not begun yet does not listen for signals either.
        assert status == 0 or (status == -signal.SIGTERM and not ready), f"worker {place} ended with {status}"
        return f"number {place}"

    def _stop_worker(self) -> str | None:
        living = [worker.pid for worker in self.rig.workshop.workers if worker.poll() is None]
        if self._asleep or self._mortal() is None:
            return None
        pid = int(self.dice.choice(living))
        seconds = self.dice.uniform(0.1, LONGEST_SLEEP_LEASES) * self.rig.workshop.settings.lease_seconds
        if self.dice.random() < 0.5:  # as if it were another machine, where nobody sees that it lives
            with self.rig.workshop.database.write() as session:
                for row in session.scalars(select(WorkerRow).where(WorkerRow.pid == pid)):
                    row.host = "elsewhere"
        os.kill(pid, signal.SIGSTOP)
        self._asleep[pid] = time.monotonic() + seconds
        return f"process {pid} for {seconds:.1f} s"

    def _child(self) -> int | None:
        with self.rig.workshop.database.read() as session:
            failed = session.scalars(
                select(CohortRow.id).where(CohortRow.state.in_(("queued", "running")), CohortRow.failures > 0)
            ).first()
        children = self.rig.workshop.children()
        return None if failed or not children else int(self.dice.choice(children))

    def _kill_child(self) -> str | None:
        if (child := self._child()) is None:
            return None
        os.kill(child, int(self.dice.choice((signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT))))
        return f"process {child}"

    def _stop_child(self) -> str | None:
        if (child := self._child()) is None or self._asleep:
            return None
        os.kill(child, signal.SIGSTOP)
        self._asleep[child] = time.monotonic() + self.dice.uniform(0.1, 2.0)
        return f"process {child}"

    def _kill_api(self) -> str | None:
        if self.rig.api is None or self.rig.api.poll() is not None:
            return None
        self.rig.api.kill()
        self.rig.api.wait()
        self.rig.start_api()
        return "and started again"

    def _flush(self) -> str | None:
        if self.rig.valkey is not None:
            with self.rig.valkey.client() as client:
                client.flushall()
            return "every key"
        messages = list((self.rig.workshop.settings.home / "broker" / "messages").glob("*"))
        for path in messages:
            path.unlink(missing_ok=True)
        return f"{len(messages)} messages"

    def _broker(self) -> str | None:
        assert self.rig.valkey is not None
        self.rig.valkey.stop()
        time.sleep(self.dice.uniform(0.0, 1.0))
        self.rig.valkey.start()
        return "it forgot everything"

    def _crash(self) -> str | None:
        assert self.rig.postgres is not None
        away = float(self.dice.choice((0.0, 0.5, 1.2 * self.rig.workshop.settings.lease_seconds)))
        self.rig.postgres.crash()
        time.sleep(away)
        self.rig.postgres.start()
        return f"away for {away:.1f} s"

    def _cut(self) -> str | None:
        assert self.rig.postgres is not None
        url = self.rig.postgres.url.render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            return f"{connection.execute(CUT).rowcount} of them"

    def _lock(self) -> str | None:
        seconds = self.dice.uniform(0.1, 1.0)
        with self.rig.workshop.database.write():
            time.sleep(seconds)
        return f"for {seconds:.1f} s"

    def _damage(self) -> str | None:
        with self.rig.workshop.database.read() as session:
            paths = list(session.scalars(select(CheckpointRow.path)))
        root = self.rig.workshop.settings.home / "artifacts"
        there = [root / path for path in paths if (root / path).exists()]
        if not there:
            return None
        path = there[self.dice.integers(len(there))]
        with suppress(FileNotFoundError):  # replaced meanwhile
            return f"{_damaged(path, self.dice)} {path.relative_to(root)}"
        return None

    def _pause(self) -> str | None:
        database = self.rig.workshop.database
        with database.read() as session:
            running = list(session.scalars(select(ExperimentRow.id).where(ExperimentRow.state == "running")))
        if not running:
            return None
        experiment = str(self.dice.choice(running))
        try:
            with database.write() as session:
                request_pause(session, experiment)
            if self.dice.random() < 0.5 and not self._asleep:
                eventually(lambda: self.rig.states()[experiment] != "running", "the pause")
            with database.write() as session:
                resume(session, experiment)
        except ConflictError:
            return f"{experiment}, which was over"
        return experiment


def _damaged(path: Path, dice: Generator) -> str:
    size = path.stat().st_size
    match str(dice.choice(("cut", "changed", "removed"))):
        case "cut":
            os.truncate(path, int(dice.integers(size)))
            return "cut"
        case "changed":
            with path.open("r+b") as file:
                file.seek(int(dice.integers(size)))
                file.write(b"?")
            return "changed"
        case _:
            path.unlink()
            return "removed"
