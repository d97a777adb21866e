"""One attempt in the test's own process: a claim, a child that plays, and what supervises it."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from services.cohorts.claim import Claim, claim
from services.db.database import Database
from services.db.tables import CheckpointRow, CohortRow
from services.heartbeat import boottime
from services.settings import Settings
from tests.support.experiments import make_experiment
from tests.support.workers import ENDLESS, FAKE
from worker.child import Child
from worker.environment import child_environment
from worker.supervisor import Supervisor


class Watched(Child):
    """A child whose supervisor hears of its end before `kill` returns, and that notes what was known by then."""

    def __init__(self, *arguments: Any) -> None:
        self.told: Callable[[], bool] = lambda: True
        self.kills: list[bool] = []
        super().__init__(*arguments)

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.kills.append(self.told())
        super().kill(number)
        self.process.wait()
        while not self.drained:
            time.sleep(0.01)
        time.sleep(0.5)  # whoever waits for the child acts on its end now


def taken_from(database: Database, *, saved: Sequence[Mapping[str, Any]] = (), **spec: Any) -> Claim:
    """A claimed cohort of two trials with these checkpoints, and the spec of the child that plays."""
    with database.write() as session:
        make_experiment(session, (2,), ENDLESS, {"epochs": ENDLESS, **spec})
        cohort = session.scalars(select(CohortRow)).one()
        for file in saved:
            cohort.last_epoch = max(cohort.last_epoch, file["epoch"])
            session.add(CheckpointRow(cohort_id=cohort.id, attempt=0, bytes=1, **file))
        session.flush()
        taken = claim(session, "w", 1000.0)
    assert taken is not None
    return taken


def settings_of(database: Database, tmp_path: Path, **overrides: Any) -> Settings:
    url = database.url.render_as_string(hide_password=False)
    return Settings.model_validate({"home": tmp_path / "home", "database_url": url, **overrides})


def fake(settings: Settings) -> Watched:
    root = Path(__file__).resolve().parents[2]
    environment = {**child_environment(os.environ, settings, "w"), "PYTHONPATH": str(root)}
    return Watched([sys.executable, str(FAKE)], environment)


def supervisor(database: Database, settings: Settings, taken: Claim, child: Child, **overrides: Any) -> Supervisor:
    never = {"draining": lambda: False, "hurry": lambda: False, "gives_way": lambda: False}
    choices = {"claimed_at": boottime(), **never, "idle": lambda: None}
    return Supervisor(database, settings, taken, child, **{**choices, **overrides})
