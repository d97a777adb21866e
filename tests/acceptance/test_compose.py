"""docker-compose.yml without Docker: its commands and environment as plain processes on real servers."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from firstlight import Client, FirstlightHTTPError
from tests.support.workers import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "api", "worker", "worker-gpu")
KEY = "a-key-of-the-test"
SECRETS = {"POSTGRES_PASSWORD": "not used by trust authentication", "FIRSTLIGHT_API_KEYS": KEY}


def substituted(text: str) -> str:
    """Fill in ``${NAME:?message}`` as compose does, from the test's secrets."""
    return re.sub(r"\$\{(\w+)(?::\?[^}]*)?\}", lambda match: SECRETS[match.group(1)], text)


class Stack:
    """Starts services of the compose file as processes; addresses and folders are the test's, the rest the file's."""

    def __init__(self, database: str, broker: str, home: Path) -> None:
        self.database, self.broker, self.home = database, broker, home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def environment(self, name: str) -> dict[str, str]:
        stated = {key: substituted(str(value)) for key, value in SERVICES[name]["environment"].items()}
        assert "@postgres:5432/" in stated["FIRSTLIGHT_DATABASE_URL"]
        assert stated["FIRSTLIGHT_BROKER_URL"].startswith("redis://redis:6379")
        places = {
            "FIRSTLIGHT_DATABASE_URL": self.database,
            "FIRSTLIGHT_BROKER_URL": self.broker,
            "FIRSTLIGHT_HOME": str(self.home),
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FIRSTLIGHT_")}
        return {**inherited, **stated, **places}

    def command(self, name: str) -> list[str]:
        words = [sys.executable if word == "python" else word for word in SERVICES[name]["command"]]
        return [str(self.port) if word == "8000" else word for word in words]

    def run(self, name: str) -> None:
        subprocess.run(self.command(name), env=self.environment(name), cwd=ROOT, check=True, timeout=PATIENCE)

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        process = subprocess.Popen(self.command(name), env=self.environment(name), cwd=ROOT)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0, f"{name} did not drain"


def healthy(stack: Stack, name: str) -> bool:
    test = SERVICES[name]["healthcheck"]["test"]
    assert test[0] == "CMD"
    words = [sys.executable if word == "python" else word.replace(":8000/", f":{stack.port}/") for word in test[1:]]
    return (
        subprocess.run(words, env=stack.environment(name), cwd=ROOT, check=False, capture_output=True).returncode == 0
    )


def test_the_stack_runs_a_study(postgres_url: str, valkey_url: str, tmp_path: Path) -> None:
    stack = Stack(postgres_url, valkey_url, tmp_path)
    stack.run("migrate")
    with stack.running("api"), stack.running("worker"):
        eventually(lambda: healthy(stack, "api"), "the API to be healthy")
        eventually(lambda: healthy(stack, "worker"), "the worker to be healthy")
        url = f"http://127.0.0.1:{stack.port}"
        with Client(url) as stranger, pytest.raises(FirstlightHTTPError) as refused:
            list(stranger.experiments())
        assert refused.value.status == 401
        with Client(url, api_key=KEY) as client:
            spec = client.catalogue("presets", "quickstart")["spec"]
            experiment = client.submit({**spec, "epochs": 3})
            assert client.wait(experiment["id"], timeout=PATIENCE)["state"] == "succeeded"
            comparison = client.comparison(experiment["id"])
            assert comparison["verdict"]
            assert len(comparison["arms"]) == experiment["trials"]["total"] // len(experiment["spec"]["seeds"])


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["init"] is True


def test_only_the_api_is_published_and_only_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8000:8000"]}


def test_no_secret_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        used = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert used
        assert all(rest.startswith(":?") for rest in used)


def test_what_runs_for_long_is_health_checked() -> None:
    assert [name for name, service in SERVICES.items() if name != "migrate" and "healthcheck" not in service] == []
