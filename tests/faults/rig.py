"""A whole service outside pytest, of real processes that may be killed, and a client that insists.

embedded  SQLite and the folder broker
servers   PostgreSQL and a Redis-protocol broker, each of this rig alone
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
from sqlalchemy import select

from services.db.tables import ExperimentRow, TrialRow
from services.trials.rows import read_rows
from tests.faults.invariants import Curves
from tests.support import watchdog
from tests.support.servers import Postgres, Valkey, free_port, upgraded
from tests.support.workers import FAKE, PATIENCE, Workshop, eventually, workshop_in

Kind = Literal["embedded", "servers"]
ANSWER_SECONDS = 30.0
TIMED = ("seconds",)
"""Metrics that no two runs have in common."""


@dataclass
class Rig:
    """The processes, and what the client has been promised.

    Attributes:
        accepted: the experiments that were answered with 202, by the key they were sent with.
    """

    kind: Kind
    workshop: Workshop
    postgres: Postgres | None
    valkey: Valkey | None
    real: bool = False
    pace: float = 0.03
    port: int = field(default_factory=free_port)
    accepted: dict[str, str] = field(default_factory=dict)
    api: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_api(self) -> None:
        """Start the API, on the same port each time."""
        command = [sys.executable, "-P", "-m", "api", "--port", str(self.port)]
        with (self.workshop.folder / "api.log").open("ab") as log:
            self.api = subprocess.Popen(command, env=self.workshop.environment, stdout=log, stderr=log)

    def start_worker(self, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker, whose children train or play."""
        if self.real:
            return self.workshop.worker(environment, real=True)
        command = f"[sys.executable, {str(FAKE)!r}, {str(self.pace)!r}]"
        code = f"import sys; from worker.program import main; main([], command={command})"
        return self.workshop.worker(environment, code=code)

    def submit(self, spec: dict[str, Any]) -> str:
        """Send a spec until it is accepted, with one key however often: the API may be killed meanwhile."""
        key = f"study-{len(self.accepted)}"
        answers: list[httpx.Response] = []

        def accepted() -> bool:
            if self.api is None or self.api.poll() is not None:
                self.start_api()
            with suppress(httpx.TransportError):
                answers.append(
                    httpx.post(
                        f"{self.url}/v1/experiments",
                        json=spec,
                        headers={"Idempotency-Key": key},
                        timeout=ANSWER_SECONDS,
                    )
                )
            if answers and answers[-1].status_code not in (202, 503):
                raise AssertionError(f"{answers[-1].status_code}: {answers[-1].text[:500]}")
            return bool(answers) and answers[-1].status_code == 202

        eventually(accepted, f"{key} to be accepted")
        self.accepted[key] = answers[-1].json()["id"]
        return self.accepted[key]

    def states(self) -> dict[str, str]:
        """Every experiment's state; that of a database that is away is asked for again."""
        by_experiment: dict[str, str] = {}

        def there() -> bool:
            with suppress(Exception), self.workshop.database.read() as session:
                by_experiment.update(dict(session.execute(select(ExperimentRow.id, ExperimentRow.state)).all()))
                return True
            return False

        eventually(there, "the database to answer")
        return by_experiment

    def curves(self, experiment: str) -> dict[int, Curves]:
        """Every metric of every trial by its place in the grid, but those that measure time."""
        with self.workshop.database.read() as session:
            query = select(TrialRow.id, TrialRow.position).where(TrialRow.experiment_id == experiment)
            places = dict(session.execute(query).all())
            rows = read_rows(session, list(places))
        return {
            places[trial_id]: {name: values for name, values in columns.metrics.items() if name not in TIMED}
            for trial_id, columns in rows.items()
        }

    def end_api(self) -> None:
        if self.api is not None:
            self.api.terminate()
            self.api.wait(PATIENCE)


def same(first: dict[int, Curves], second: dict[int, Curves]) -> bool:
    """Whether both have the same numbers to the bit."""
    return first.keys() == second.keys() and all(
        mine.keys() == second[place].keys()
        and all(np.array_equal(mine[name], second[place][name], equal_nan=True) for name in mine)
        for place, mine in first.items()
    )


@contextmanager
def rig_in(folder: Path, kind: Kind, **settings: str) -> Iterator[Rig]:
    """Start the servers and migrate; workers and API are started by whoever uses the rig, and ended here."""
    (folder / "home").mkdir()
    postgres = valkey = None
    urls: dict[str, str] = {}
    try:
        if kind == "servers":
            postgres = Postgres(watchdog.folder(watchdog.own_run(), "pg"), ("fsync=off",))
            postgres.start()
            valkey = Valkey(free_port(), folder)
            valkey.start()
            urls = {"DATABASE_URL": postgres.url.render_as_string(hide_password=False), "BROKER_URL": valkey.url}
        workshop = workshop_in(folder, **urls, **settings)
        upgraded(workshop.settings.database, folder / "home")
        rig = Rig(kind, workshop, postgres, valkey)
        try:
            yield rig
        finally:
            rig.end_api()
            workshop.close()
            workshop.database.dispose()
    finally:
        if valkey is not None:
            valkey.stop()
        if postgres is not None:
            postgres.crash()
            shutil.rmtree(postgres.folder, ignore_errors=True)


@contextmanager
def watched() -> Iterator[None]:
    """What is started inside ends with this process, even when that is killed."""
    run = watchdog.new_run()
    command = [sys.executable, "-I", str(Path(watchdog.__file__)), str(run)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    before = watchdog.mark(run)
    try:
        yield
    finally:
        watchdog.mark(before)
        process.communicate()


def seconds_since(moment: float) -> str:
    """For a line of progress."""
    return f"{time.monotonic() - moment:7.1f} s"
