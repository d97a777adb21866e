"""The installed wheel, away from its checkout, in a folder full of a stranger's modules."""

import os
import signal
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from firstlight import Client
from services.figures.render import COMMAND as DRAWING
from worker.calibration import COMMAND as PROBE
from worker.child import COMMAND as CHILD

OURS = ("api", "firstlight", "migrations", "services", "worker")
SPEC = {"dataset": "circles", "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 2}


@pytest.fixture
def strangers(tmp_path: Path) -> Path:
    """A folder with a module of every name that could be looked for, each of which leaves a trace and ends all."""
    folder = tmp_path / "strangers"
    folder.mkdir()
    trace = f"import os\nopen({str(tmp_path / 'ran')!r}, 'a').write(__name__ + '\\n')\nos._exit(77)\n"
    for name in {*OURS, *packages_distributions(), *sys.stdlib_module_names, "celeryconfig", "sitecustomize"}:
        if name.isidentifier():
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(trace)
            (folder / name / "__main__.py").write_text(trace)
    return folder


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FIRSTLIGHT_", "PYTHON"))}
    return {**inherited, "COLUMNS": "160", **variables}


def test_nothing_of_the_current_folder_is_run(server_commands: Path, strangers: Path, tmp_path: Path) -> None:
    env = environment(DJANGO_SETTINGS_MODULE="services.settings", FIRSTLIGHT_CALIBRATE="false")
    page = subprocess.run(
        [server_commands / "firstlight", "--help"],
        cwd=strangers,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert page.returncode == 0, page.stderr
    up = [server_commands / "firstlight", "up", "--home", str(tmp_path / "home"), "--port", "0"]
    with (tmp_path / "log").open("wb") as log:
        service = subprocess.Popen(up, cwd=strangers, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert service.stdout is not None
        ready = service.stdout.readline()
        assert ready.startswith("ready http://"), (tmp_path / "log").read_text()
        with Client(ready.split()[1]) as client:
            experiment = client.submit(SPEC)["id"]
            assert client.wait(experiment, timeout=200)["state"] == "succeeded"
            assert client.figure(experiment, "curves", "svg").startswith(b"<svg")
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=200)
    assert service.returncode == 0, (tmp_path / "log").read_text()
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


@pytest.mark.parametrize("command", [PROBE, CHILD, DRAWING], ids=lambda command: command[-1])
def test_no_process_takes_the_current_folder_for_the_product(
    server_commands: Path, strangers: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    python, *words = command
    assert python == sys.executable
    options = ["--help"] if command is PROBE else []
    done = subprocess.run(
        [server_commands / "python", *words, *options],
        cwd=strangers, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert "Error" not in done.stderr
    assert done.returncode == (1 if command is CHILD else 0), done.stderr


def test_api_and_worker_do_with_what_their_extras_bring(
    api_commands: Path, worker_commands: Path, tmp_path: Path
) -> None:
    env = environment(FIRSTLIGHT_HOME=str(tmp_path / "home"), FIRSTLIGHT_CALIBRATE="false")
    up = [api_commands / "firstlight", "up", "--slots", "0", "--port", "0"]
    with (tmp_path / "log").open("wb") as log:
        api = subprocess.Popen(up, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=log, text=True)
        worker = None
        try:
            assert api.stdout is not None
            ready = api.stdout.readline()
            assert ready.startswith("ready http://"), (tmp_path / "log").read_text()
            work = [worker_commands / "python", "-P", "-m", "worker"]
            worker = subprocess.Popen(work, cwd=tmp_path, env=env, stdout=log, stderr=log)
            with Client(ready.split()[1]) as client:
                experiment = client.submit(SPEC)["id"]
                assert client.wait(experiment, timeout=200)["state"] == "succeeded"
                assert client.report(experiment).startswith(b"<!")
                assert client.figure(experiment, "curves", "pdf").startswith(b"%PDF")
                rows = client.download(f"/v1/experiments/{experiment}/metrics", accept="application/vnd.apache.parquet")
                assert rows.startswith(b"PAR1")
        finally:
            for process in filter(None, (worker, api)):
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=200)
    assert api.returncode == 0, (tmp_path / "log").read_text()
    doctors = {
        name: subprocess.run([commands / "firstlight", "doctor"], env=env, capture_output=True, text=True, check=False)
        for name, commands in {"worker": api_commands, "api": worker_commands}.items()
    }
    for missing, done in doctors.items():
        assert done.returncode == 0, done.stdout
        assert f"the {missing} process is not installed" in done.stdout
        assert ("PyTorch" in done.stdout) == (missing == "api")


@pytest.mark.parametrize(
    ("process", "roots"), [("api", ["api", "services.figures"]), ("worker", ["worker", "services.training"])]
)
def test_every_module_of_a_process_finds_what_it_imports(
    api_commands: Path, worker_commands: Path, tmp_path: Path, process: str, roots: list[str]
) -> None:
    code = """if True:
        import importlib, pkgutil, sys
        for root in sys.argv[1:]:
            for found in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
                if not found.name.endswith("__main__"):
                    importlib.import_module(found.name)
        print("torch" in sys.modules)
    """
    commands = {"api": api_commands, "worker": worker_commands}[process]
    done = subprocess.run(
        [commands / "python", "-P", "-c", code, *roots],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"{process == 'worker'}\n"), done.stderr
