"""Requests drawn from the OpenAPI document by schemathesis, put to a real server over a real database."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import update

from api.failed_keys import FailedKeys
from services.cohorts import workers
from services.cohorts.claim import claim
from services.cohorts.commit import commit_epochs
from services.cohorts.endings import finish
from services.cohorts.workers import Identity
from services.db.clock import CLOCK
from services.db.tables import WorkerRow
from tests.api.conftest import Served, epochs_message, serving

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
ADMIN = "k" * 32
MOST_TEXT = 4_000
PHASES = "coverage,fuzzing,stateful"
SHORT_EPOCHS = 20
"""Experiments of so few epochs are trained; those of more stay running."""


@dataclass(frozen=True)
class Outcome:
    """What came of one run: how many requests were drawn, in which phases, and the failures in words, "" for none."""

    cases: int
    phases: tuple[str, ...]
    failures: str


@contextmanager
def fuzzed_service(home: Path, url: str, *, keys: bool) -> Iterator[Served]:
    """A service with an experiment, a worker that is alive, and somebody who trains what is short.

    Wrong keys are answered as the first ones of a minute are, however many there have been.
    """
    own = {"api_keys": [ADMIN]} if keys else {}
    with pytest.MonkeyPatch.context() as patch, serving(home, url, rate_limit="", **own) as served:
        patch.setattr(FailedKeys, "count", lambda *_: None)
        if keys:
            served.http.headers["Authorization"] = f"Bearer {ADMIN}"
        with served.database.write() as session:
            workers.register(session, "wrk_fuzz", Identity("host", "boot", 1, 1.0), 1, None)
            session.execute(update(WorkerRow).values(heartbeat_at=CLOCK + 1e6))
        served.submit()
        served.train(diverged=2)
        ended = threading.Event()
        trainer = threading.Thread(target=_train, args=(served, ended))
        trainer.start()
        try:
            yield served
        finally:
            ended.set()
            trainer.join()


def key_of(served: Served, scope: str) -> str:
    """A new key of this scope."""
    made = served.http.post("/v1/keys", json={"name": scope, "scope": scope})
    assert made.status_code == 201, made.text
    return made.json()["key"]


def draw(
    served: Served, folder: Path, *, key: str | None, examples: int, chains: int, seed: int, phases: str = PHASES
) -> Outcome:
    """Put requests to the service: so many of each operation, and so many chains of them along the links.

    Args:
        served: the service.
        folder: for what schemathesis reads and writes.
        key: sent with every request.
        examples: most requests of each operation.
        chains: most chains.
        seed: the same one draws the same requests.
        phases: of schemathesis; the coverage phase makes as many requests as the document has corners.
    """
    configuration, report = folder / "schemathesis.toml", folder / "drawn.json"
    amounts = f"[phases.fuzzing.generation]\nmax-examples = {examples}\n"
    amounts += "[phases.stateful]\nmax-steps = 10\n"
    amounts += f"[phases.stateful.generation]\nmax-examples = {chains}\n"
    configuration.write_text(CONFIGURATION.read_text() + amounts)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"]
    command += [f"{served.http.base_url}/openapi.json", "--checks", "all", "--phases", phases, "--no-color"]
    command += ["--max-response-time", "600"]  # the machine may be busy
    command += ["--seed", str(seed), "--no-shrink", "--continue-on-failure"]
    command += ["--report", "json", "--report-json-path", str(report)]
    command += ["--suppress-health-check", "all", "--warnings", "off"]
    if key is None:
        command += ["--exclude-path", "/v1/keys"]  # the first key that is made closes the service to who has none
    else:
        command += ["--header", f"Authorization: Bearer {key}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert report.exists(), done.stdout + done.stderr
    result = json.loads(report.read_text())
    failures = () if done.returncode == 0 else (_section(done.stdout, "FAILURES"), _section(done.stdout, "ERRORS"))
    ran = tuple(name for name, phase in result["phases"].items() if phase["status"] != "skip")
    return Outcome(result["test_cases"]["generated"], ran, "".join(failures))


def _train(served: Served, ended: threading.Event) -> None:
    """Finish what is short, as an instant child would, until the run ends; what is deleted meanwhile is let go."""
    while not ended.wait(0.2):
        with served.database.write() as session:
            taken = claim(session, "wrk_fuzz", 3600.0)
        if taken is None or taken.epochs > SHORT_EPOCHS:
            continue
        for epoch in range(taken.epochs + 1):
            with served.database.write() as session:
                commit_epochs(session, taken.cohort_id, taken.attempt, epochs_message(epoch, len(taken.trials)), 3600.0)
        with served.database.write() as session:
            finish(session, taken.cohort_id, taken.attempt)


def _section(output: str, title: str) -> str:
    """What schemathesis prints under this title: each failure with the request that shows it."""
    _, _, rest = output.partition(f" {title} ")
    return re.split(r"^=+ ", rest, maxsplit=1, flags=re.MULTILINE)[0][:MOST_TEXT] or output[-MOST_TEXT:]
