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

import pytest
import redis
import yaml

from firstlight import Client, FirstlightHTTPError
from tests.support.compose_file import services
from tests.support.workers import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "docker-compose.proxy.yml")
SERVICES = services({"FIRSTLIGHT_HOSTNAME": "firstlight.example.org"}, *FILES)
SECRETS = ("postgres_password", "redis_password", "api_keys")
MOUNT = "/run/secrets/"


class Stack:
    """Starts services of the compose file as processes; addresses and folders are the test's, the rest the file's."""

    def __init__(self, database: str, broker: str, home: Path, secrets: Path) -> None:
        self.database, self.broker, self.home, self.secrets = database, broker, home, secrets
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def environment(self, name: str) -> dict[str, str]:
        stated = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
        assert "@postgres:5432/" in stated["FIRSTLIGHT_DATABASE_URL"]
        assert stated["FIRSTLIGHT_BROKER_URL"].startswith("redis://redis:6379")
        for key, value in stated.items():
            if value.startswith(MOUNT):
                assert value.removeprefix(MOUNT) in SERVICES[name]["secrets"]
                stated[key] = str(self.secrets / value.removeprefix(MOUNT))
        places = {
            "FIRSTLIGHT_DATABASE_URL": self.database,
            "FIRSTLIGHT_BROKER_URL": self.broker,
            "FIRSTLIGHT_HOME": str(self.home),
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("FIRSTLIGHT_")}
        data = {key: value for key, value in os.environ.items() if key == "FIRSTLIGHT_DATA_DIR"}
        return {**inherited, **data, **stated, **places}

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
    words = [sys.executable if word == "python" else word.replace("8000", str(stack.port)) for word in test[1:]]
    return (
        subprocess.run(words, env=stack.environment(name), cwd=ROOT, check=False, capture_output=True).returncode == 0
    )


@pytest.fixture
def secrets(valkey_url: str, tmp_path: Path) -> Iterator[Path]:
    """The secrets as `make secrets` makes them; the broker asks for its own from here on."""
    folder = tmp_path / "secrets"
    subprocess.run(["make", "--silent", "secrets", f"SECRETS_DIR={folder}"], cwd=ROOT, check=True, timeout=PATIENCE)
    password = (folder / "redis_password").read_text().strip()
    with redis.Redis.from_url(valkey_url) as broker:
        broker.config_set("requirepass", password)
        yield folder
        broker.config_set("requirepass", "")


def test_the_stack_runs_a_study(postgres_url: str, valkey_url: str, secrets: Path, tmp_path: Path) -> None:
    stack = Stack(postgres_url, valkey_url, tmp_path / "home", secrets)
    with redis.Redis.from_url(valkey_url) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    stack.run("migrate")
    with stack.running("api"), stack.running("worker"):
        eventually(lambda: healthy(stack, "api"), "the API to be healthy")
        eventually(lambda: healthy(stack, "worker"), "the worker to be healthy")
        url = f"http://127.0.0.1:{stack.port}"
        with Client(url) as stranger, pytest.raises(FirstlightHTTPError) as refused:
            list(stranger.experiments())
        assert refused.value.status == 401
        with Client(url, api_key=(secrets / "api_keys").read_text().strip()) as client:
            assert client.ready()["broker"]
            spec = client.catalogue("presets", "quickstart")["spec"]
            experiment = client.submit({**spec, "epochs": 3})
            assert client.wait(experiment["id"], timeout=PATIENCE)["state"] == "succeeded"
            comparison = client.comparison(experiment["id"])
            assert comparison["verdict"]
            assert len(comparison["arms"]) == experiment["trials"]["total"] // len(experiment["spec"]["seeds"])


def test_secrets_that_are_there_stay(tmp_path: Path) -> None:
    make = ["make", "--silent", "secrets", f"SECRETS_DIR={tmp_path / 'secrets'}"]
    subprocess.run(make, cwd=ROOT, check=True, timeout=PATIENCE)
    first = {name: (tmp_path / "secrets" / name).read_text() for name in SECRETS}
    (tmp_path / "secrets" / "api_keys").chmod(0o600)
    (tmp_path / "secrets" / "api_keys").write_text("one,two\n")
    subprocess.run(make, cwd=ROOT, check=True, timeout=PATIENCE)
    again = {name: (tmp_path / "secrets" / name).read_text() for name in SECRETS}
    assert again == {**first, "api_keys": "one,two\n"}
    assert len(set(first.values())) == len(SECRETS)
    assert all(len(text.strip()) >= 32 for text in first.values())
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_hardened_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert service["init"] is True
    assert all("size=" in text for text in service["tmpfs"])
    assert {"mem_limit", "pids_limit", "logging"} <= set(service)


def test_only_the_api_is_published_and_only_on_loopback_and_the_proxy() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8000:8000"], "proxy": ["80:80", "443:443"]}


def test_database_and_broker_are_out_of_reach() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert document["networks"]["backend"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if service["networks"] == ["backend"]} == {"postgres", "redis"}


def test_secrets_come_as_files_only() -> None:
    document = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert set(document["secrets"]) == set(SECRETS)
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|KEY|SECRET", variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.removeprefix(MOUNT) in service["secrets"]
    assert not re.search("PASSWORD|KEYS?=", (ROOT / ".env.example").read_text())


def test_an_image_is_built_once_and_each_is_a_target_of_the_dockerfile() -> None:
    built = [(service["build"]["target"], service["image"]) for service in SERVICES.values() if "build" in service]
    assert [f"firstlight-{target}:local" for target, _ in built] == [image for _, image in built]
    assert len(built) == len(set(built)) == 3
    assert SERVICES["migrate"]["image"] == SERVICES["api"]["image"]
    text = (ROOT / "Dockerfile").read_text()
    assert {target for target, _ in built} <= set(re.findall(r"^FROM base AS (\S+)$", text, re.MULTILINE))
    default = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.MULTILINE)
    assert default is not None
    for service in SERVICES.values():
        if "build" in service:
            assert service["build"]["args"]["PYTHON_IMAGE"] == f"docker.io/library/{default[1]}"


def test_what_runs_for_long_is_health_checked() -> None:
    assert [name for name, service in SERVICES.items() if name != "migrate" and "healthcheck" not in service] == []


def test_the_example_of_settings_names_only_what_the_files_read() -> None:
    text = "".join((ROOT / name).read_text() for name in FILES)
    read = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)) == read
