"""One study, submitted over HTTP to both stacks, ends with the same numbers; so it does when a worker is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from firstlight import Client
from firstlight.process import Service, free_port
from tests.support.workers import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
STUDY = {
    "dataset": {"name": "diamonds", "train_size": 2048},
    "activation": ["sigmoid", "tanh", "relu"],
    "initializer": ["glorot_uniform", "he_uniform", "lecun_uniform", "random_uniform"],
    "epochs": 6,
    "seeds": 5,
}
TRIALS, EPOCHS = 60, 6


@contextmanager
def process(module: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    running = subprocess.Popen([sys.executable, "-m", module, *arguments], env={**inherited, **environment}, cwd=ROOT)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
        running.wait(PATIENCE)


@contextmanager
def servers(environment: dict[str, str], workers: int) -> Iterator[tuple[Client, list[subprocess.Popen[bytes]]]]:
    """API and workers on PostgreSQL and Redis."""
    port = free_port("127.0.0.1")
    with ExitStack() as stack:
        stack.enter_context(process("api", "--port", str(port), **environment))
        started = [stack.enter_context(process("worker", "--slots", "1", **environment)) for _ in range(workers)]
        client = stack.enter_context(Client(f"http://127.0.0.1:{port}"))
        eventually(lambda: _ready(client), "the stack to be ready")
        yield client, started


def _ready(client: Client) -> bool:
    try:
        return httpx.get(f"{client.url}/readyz", timeout=60).is_success
    except httpx.TransportError:
        return False


def numbers(client: Client, experiment: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Every epoch row by (arm, seed, epoch)."""
    trials = {trial["id"]: (trial["label"], trial["seed"]) for trial in client.trials(experiment)}
    assert len(trials) == TRIALS
    names = ("train_loss", "val_loss", "val_mae", "val_rmse", "val_r2")
    rows = list(client.metrics(experiment))
    metrics = {(*trials[row["trial_id"]], row["epoch"]): tuple(row[name] for name in names) for row in rows}
    assert len(metrics) == len(rows) == TRIALS * (EPOCHS + 1)
    return metrics


@pytest.fixture(scope="module")
def embedded_numbers(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIRSTLIGHT_DATA_DIR", str(data_dir))
        home = tmp_path_factory.mktemp("home")
        with (home / "log").open("wb") as log, Service(home, port=0, log=log) as service, Client(service.url) as client:
            experiment = client.submit(STUDY)
            assert client.wait(experiment["id"], timeout=PATIENCE)["state"] == "succeeded"
            return numbers(client, experiment["id"])


@pytest.fixture
def environment(migrated_postgres_url: str, valkey_url: str, data_dir: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "FIRSTLIGHT_DATABASE_URL": migrated_postgres_url,
        "FIRSTLIGHT_BROKER_URL": valkey_url,
        "FIRSTLIGHT_HOME": str(tmp_path),
        "FIRSTLIGHT_DATA_DIR": str(data_dir),
        "FIRSTLIGHT_LEASE_SECONDS": "60",
        "FIRSTLIGHT_HEARTBEAT_SECONDS": "0.5",
        "FIRSTLIGHT_CHECKPOINT_SECONDS": "0",
    }


def test_two_workers_on_servers_give_the_embedded_numbers(
    environment: dict[str, str], embedded_numbers: dict[Any, Any]
) -> None:
    with servers({**environment, "FIRSTLIGHT_COHORT_WIDTH": "30"}, workers=2) as (client, _):
        experiment = client.submit(STUDY)
        assert client.wait(experiment["id"], timeout=PATIENCE)["state"] == "succeeded"
        assert {trial["cohort"]["size"] for trial in client.trials(experiment["id"])} == {30}
        metrics = numbers(client, experiment["id"])
    assert metrics.keys() == embedded_numbers.keys()
    for key, expected in embedded_numbers.items():
        np.testing.assert_allclose(
            np.array(metrics[key], dtype=float), np.array(expected, dtype=float), rtol=1e-5, err_msg=str(key)
        )


def test_the_same_cohorts_on_both_stacks_are_equal_to_the_bit_though_a_worker_is_killed(
    environment: dict[str, str], embedded_numbers: dict[Any, Any]
) -> None:
    slowed = {"FIRSTLIGHT_TESTING": "1", "FIRSTLIGHT_FAULT": "child.before_epoch:epoch=3:hang"}
    with servers({**environment, **slowed}, workers=1) as (client, workers):
        experiment = client.submit(STUDY)
        # Only the first message is sure to be stored: the next waits for its acknowledgement, the child does not.
        assert any(event["event"] == "epoch" for event in client.events(experiment["id"]))
        workers[0].kill()
        with process("worker", "--slots", "1", **environment):
            assert client.wait(experiment["id"], timeout=PATIENCE)["state"] == "succeeded"
        assert {trial["attempt"] for trial in client.trials(experiment["id"])} == {2}
        assert numbers(client, experiment["id"]) == embedded_numbers
