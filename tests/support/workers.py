"""Real worker processes on real databases and brokers, and ways to look at what they did."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from services.cohorts.requests import request_cancel
from services.db.database import Database
from services.db.tables import AttemptRow, CohortRow, EventRow, ExperimentRow, TrialRow
from services.settings import Settings
from services.trials.rows import read_rows
from tests.faults.invariants import Curves, breaches
from tests.support.experiments import make_experiment
from tests.support.fake_child import first_value, next_value
from tests.support.patience import Patience

FAKE = Path(__file__).with_name("fake_child.py")
PATIENCE = 600.0
"""Seconds until a wait is given up: less than the time limit of a test, so that the wait says what was missing."""
SHORT_LEASE = "6"
"""Seconds, for tests that wait until one has run out."""
ENDLESS = 100_000
"""Epochs of a study that is called off by its test."""


def eventually(what: Callable[[], Any], why: str, patience: float = PATIENCE) -> Any:
    """Wait for a condition of the database or of a process, never for a time."""
    left = Patience(patience)
    while left.lasts():
        answer = what()
        if answer:
            return answer
        time.sleep(0.01)
    pytest.fail(f"waited {patience:g} s for nothing: {why}")


def _wait_until_stopped(pid: int) -> None:
    """The signal is only sent: on another core a thread goes on for a moment, long enough to begin a transaction."""

    def stopped() -> bool:
        try:
            stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
        except (FileNotFoundError, ProcessLookupError):  # a thread that ended just now
            return False
        return all(stat.rpartition(")")[2].split()[0] in "TtZX" for stat in stats)

    eventually(stopped, f"process {pid} to stop")


@dataclass
class Workshop:
    """A home, a database and a broker, and the worker processes of one test."""

    settings: Settings
    environment: dict[str, str]
    database: Database
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def worker(
        self,
        variables: Mapping[str, str] | None = None,
        *,
        real: bool = False,
        code: str | None = None,
        **environment: str,
    ) -> subprocess.Popen[bytes]:
        """Start a worker process, with the fake child unless asked for the real one, or by code of the test's own."""
        number = len(self.workers)
        program = [sys.executable, "-m", "worker"]
        if code is None and not real:
            code = f"import sys; from worker.program import main; main([], command=[sys.executable, {str(FAKE)!r}])"
        if code is not None:
            program = [sys.executable, "-c", code]
        with (self.folder / f"worker-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                program,
                env={**self.environment, **(variables or {}), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.workers.append(process)
        return process

    def submit(self, sizes: tuple[int, ...] = (2,), epochs: int = 10, **spec: Any) -> str:
        """Queue an experiment for the fake child."""
        with self.database.write() as session:
            return make_experiment(session, sizes, epochs, {"epochs": epochs, **spec})

    def state(self, experiment: str) -> str:
        with self.database.read() as session:
            return session.execute(select(ExperimentRow.state).where(ExperimentRow.id == experiment)).scalar_one()

    def wait(self, experiment: str, *states: str, patience: float = PATIENCE) -> str:
        """Wait until the experiment is in one of these states (or any final one, when none is given)."""
        targets = states or ("succeeded", "failed", "cancelled")
        eventually(lambda: self.state(experiment) in targets, f"{experiment} to be {targets}\n{self.logs()}", patience)
        return self.state(experiment)

    def call_off(self, experiment: str) -> None:
        """Cancel a study that has shown what it was to show, and check what is stored."""
        with self.database.write() as session:
            request_cancel(session, experiment)
        assert self.wait(experiment) == "cancelled"
        self.check(experiment)

    def wait_epoch(self, experiment: str, epoch: int) -> None:
        """Wait until some cohort of the experiment has stored this epoch."""

        def there() -> bool:
            with self.database.read() as session:
                query = select(CohortRow.id).where(CohortRow.experiment_id == experiment, CohortRow.last_epoch >= epoch)
                return session.execute(query).first() is not None

        eventually(there, f"epoch {epoch} of {experiment}\n{self.logs()}")

    def cohort(self, experiment: str) -> CohortRow:
        with self.database.read() as session:
            return session.scalars(select(CohortRow).where(CohortRow.experiment_id == experiment)).one()

    def outcomes(self, experiment: str) -> list[str | None]:
        """How the attempts of the experiment ended, in order."""
        with self.database.read() as session:
            query = (
                select(AttemptRow.outcome)
                .join(CohortRow, CohortRow.id == AttemptRow.cohort_id)
                .where(CohortRow.experiment_id == experiment)
                .order_by(AttemptRow.started_at, AttemptRow.attempt)
            )
            return list(session.scalars(query))

    def events(self, experiment: str) -> list[EventRow]:
        with self.database.read() as session:
            query = select(EventRow).where(EventRow.experiment_id == experiment).order_by(EventRow.seq)
            return list(session.scalars(query))

    def curves(self, experiment: str) -> dict[int, NDArray[np.float64]]:
        """The val_loss of every trial, by seed."""
        with self.database.read() as session:
            seeds = dict(
                session.execute(select(TrialRow.id, TrialRow.seed).where(TrialRow.experiment_id == experiment)).all()
            )
            rows = read_rows(session, list(seeds))
            for columns in rows.values():
                assert columns.epochs.tolist() == list(range(len(columns.epochs))), "a gap, or an epoch twice"
            return {seeds[trial_id]: columns.metrics["val_loss"] for trial_id, columns in rows.items()}

    def check(self, experiment: str) -> None:
        """What must hold whatever happened: the right numbers, dense events, one outcome for each attempt."""
        with self.database.read() as session:
            row = session.get_one(ExperimentRow, experiment)
            trials = session.scalars(select(TrialRow).where(TrialRow.experiment_id == experiment)).all()
            for cohort in session.scalars(select(CohortRow).where(CohortRow.experiment_id == experiment)):
                numbers = session.scalars(
                    select(AttemptRow.attempt).where(AttemptRow.cohort_id == cohort.id).order_by(AttemptRow.attempt)
                ).all()
                assert list(numbers) == list(range(1, cohort.attempt + 1))
        curves = self.curves(experiment)
        for trial in trials:
            curve = curves.get(trial.seed, np.empty(0))
            finite = curve[: trial.epochs_done] if trial.state == "diverged" else curve
            assert finite.tolist() == expected(trial.seed, len(finite) - 1), f"trial with seed {trial.seed}"
            assert trial.state != "succeeded" or len(curve) == row.epochs + 1
        events = self.events(experiment)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events].count("done") == 1
        assert events[-1].type == "done"
        assert events[-1].payload == {"state": row.state}
        assert all(self.outcomes(experiment))
        violations = breaches(self.database, self.settings.home / "artifacts", over=[experiment], reference=undisturbed)
        assert not violations, "\n".join(map(str, violations))

    def children(self) -> list[int]:
        """The child processes that belong to this workshop's workers."""
        mark = f"XDG_CACHE_HOME={self.folder}".encode()
        pids = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                variables = (path / "environ").read_bytes().split(b"\0")
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z" and any(name.startswith(b"FIRSTLIGHT_WORKER=") for name in variables) and mark in variables:
                pids.append(int(path.name))
        return pids

    def put_to_sleep(self, *pids: int) -> None:
        """Stop processes, but in no transaction: one that sleeps in its midst keeps its locks."""
        while True:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            for pid in pids:
                _wait_until_stopped(pid)
            if self._can_be_written():
                return
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _can_be_written(self) -> bool:
        if not self.database.is_sqlite:
            try:
                with self.database.write() as session:
                    for row in (CohortRow.id, ExperimentRow.id):
                        session.execute(select(row).with_for_update(nowait=True))
            except OperationalError:
                return False
            return True
        with closing(sqlite3.connect(str(self.database.url.database), timeout=0.1, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    def logs(self) -> str:
        return "\n".join(
            f"--- {path.name}\n{path.read_text()[-4000:]}" for path in sorted(self.folder.glob("worker-*.log"))
        )

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
        eventually(lambda: not self.children(), f"children outlived their workers: {self.children()}")


def expected(seed: int, epochs: int) -> list[float]:
    """What an undisturbed run of the fake child stores."""
    values = [first_value(seed)]
    for _ in range(epochs):
        values.append(next_value(values[-1]))
    return values[: epochs + 1]


def undisturbed(trial: TrialRow, last: int) -> Curves:
    """The same by trial, for the invariants: a trial that has diverged has no number at its last epoch."""
    values = np.array(expected(trial.seed, last)[: last + 1])
    if trial.state == "diverged" and len(values):
        values[-1] = np.nan
    return {"val_loss": values, "train_loss": np.array([np.nan, *values[1:]])[: last + 1]}


def workshop_in(folder: Path, **urls: str) -> Workshop:
    """A workshop with its home in the folder and impatient workers; close it when it is done with.

    A lease outlasts every test that does not ask for a short one: where the machine is busy, short ones run out.
    """
    quick = {"LEASE_SECONDS": "60", "HEARTBEAT_SECONDS": "0.3", "SWEEP_SECONDS": "0.3", "CHECKPOINT_SECONDS": "0.05"}
    quick["CALIBRATE"] = "false"  # workers of tests are busy, or gone before they have been idle for long
    options = {"HOME": str(folder / "home"), **quick, **urls}
    variables = {f"FIRSTLIGHT_{name}": value for name, value in options.items()}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    # A child inherits this name: it tells the test whose child a process is.
    environment = {**clean, **variables, "FIRSTLIGHT_TESTING": "1", "XDG_CACHE_HOME": str(folder)}
    settings = Settings.model_validate({name.lower(): value for name, value in options.items()})
    return Workshop(settings, environment, Database(settings), folder)


@pytest.fixture(params=["embedded", "servers"])
def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workshop]:
    """SQLite with the folder broker, and PostgreSQL with a Redis-protocol broker."""
    (tmp_path / "home").mkdir()
    urls = {}
    if request.param == "embedded":
        shutil.copyfile(request.getfixturevalue("migrated_sqlite"), tmp_path / "home" / "firstlight.db")
    else:
        urls = {
            "DATABASE_URL": request.getfixturevalue("migrated_postgres_url"),
            "BROKER_URL": request.getfixturevalue("valkey_url"),
        }
    made = workshop_in(tmp_path, **urls)
    try:
        yield made
        made.close()
    finally:
        made.database.dispose()
