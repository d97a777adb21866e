"""Other systems, as far as Linux can play them: what only it or only POSIX has is taken away from our processes."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from firstlight import Client
from tests.support.workers import PATIENCE, eventually

SUPPORT = Path(__file__).resolve().parents[1] / "support"
SPEC = {"dataset": "circles", "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 2}
SERVICE_PACKAGES = {
    "torch",
    "numpy",
    "scipy",
    "sqlalchemy",
    "fastapi",
    "celery",
    "services",
    "api",
    "worker",
    "migrations",
}


def environment(system: str | None = None, **variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FIRSTLIGHT_", "PYTHON"))}
    path = {"PYTHONPATH": str(SUPPORT / system)} if system else {}
    return {**inherited, **path, "COLUMNS": "60", **variables}


def run(commands: Path, *words: str, system: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [commands / words[0], *words[1:]],
        env=environment(system, **variables), cwd=commands,
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


@pytest.mark.parametrize("system", [None, "windows", "macos"])
def test_the_client_loads_without_the_service(client_commands: Path, system: str | None) -> None:
    code = "import firstlight, firstlight.cli, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = run(client_commands, "python", "-P", "-c", code, system=system)
    assert loaded.returncode == 0, loaded.stderr
    assert "httpx" in loaded.stdout.split()
    assert SERVICE_PACKAGES.isdisjoint(loaded.stdout.split())
    page = run(client_commands, "firstlight", "--help", system=system)
    assert page.returncode == 0, page.stderr
    assert "submit" in page.stdout


@pytest.mark.parametrize("system", [None, "windows"])
@pytest.mark.parametrize("word", ["up", "demo"])
def test_what_needs_the_service_says_in_one_line_what_to_do(
    client_commands: Path, system: str | None, word: str
) -> None:
    done = run(client_commands, "firstlight", word, system=system)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert ("WSL" if system else "pip install 'firstlight[server]'") in done.stderr


@pytest.mark.parametrize("system", [None, "windows"])
def test_the_doctor_does_not_miss_the_service_where_only_the_client_is(
    client_commands: Path, system: str | None
) -> None:
    done = run(client_commands, "firstlight", "doctor", "--url", "http://127.0.0.1:9", system=system)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pip install 'firstlight[server]'" in done.stdout


def test_the_client_works_on_windows(client_commands: Path, on_macos: str, tmp_path: Path) -> None:
    env = {"FIRSTLIGHT_URL": on_macos}
    (tmp_path / "spec.json").write_text(json.dumps(SPEC))
    submitted = run(
        client_commands, "firstlight", "submit", str(tmp_path / "spec.json"), "--watch", system="windows", **env
    )
    assert submitted.returncode == 0, submitted.stderr
    match = re.search(r"exp_[0-9a-f]{32}", submitted.stdout)
    assert match
    rows = tmp_path / "rows.csv"
    assert (
        run(client_commands, "firstlight", "export", match[0], "-o", str(rows), system="windows", **env).returncode == 0
    )
    assert rows.read_text().startswith("trial_id")


@pytest.fixture(scope="module")
def on_macos(server_commands: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service whose processes miss what macOS misses."""
    folder = tmp_path_factory.mktemp("macos")
    up = [server_commands / "firstlight", "up", "--home", str(folder / "home"), "--port", "0"]
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            up, cwd=folder, env=environment("macos"), stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert service.stdout is not None
        ready = service.stdout.readline()
        assert ready.startswith("ready "), (folder / "log").read_text()
        yield ready.split()[1]
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=PATIENCE)
    assert service.returncode == 0, (folder / "log").read_text()


def test_a_child_on_macos_ends_with_its_worker(on_macos: str) -> None:
    with Client(on_macos) as client:
        experiment = client.submit({**SPEC, "dataset": "digits", "epochs": 10_000, "seeds": 20})["id"]
        eventually(lambda: client.experiment(experiment)["progress"] > 0, "the study to move")
        service = next(
            process
            for process in psutil.process_iter(["cmdline"])
            if on_macos.rpartition(":")[2] in (process.info["cmdline"] or ())
        ).parent()
        assert service is not None
        worker = next(process for process in service.children() if "worker" in process.cmdline())
        children = worker.children()
        assert children
        worker.kill()
        _, alive = psutil.wait_procs(children, timeout=120)
        assert alive == []
        client.act(experiment, "cancel")
        assert client.wait(experiment, timeout=120)["state"] == "cancelled"
