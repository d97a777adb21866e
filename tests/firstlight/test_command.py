"""The `firstlight` command as a user runs it: real processes, exit codes, what is printed, what is written."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from firstlight import Client, FirstlightHTTPError
from firstlight.process import Service, StartError
from tests.support.workers import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
SPEC = {
    "name": "a small study",
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": "he_uniform",
    "epochs": 2,
    "seeds": 6,
}


def command(
    *words: str, url: str | None = None, stdin: str | None = None, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    environment |= {"COLUMNS": "160", **({"FIRSTLIGHT_URL": url} if url else {}), **(more or {})}
    return subprocess.run(
        [sys.executable, "-m", "firstlight", *words],
        cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    with (home / "log").open("wb") as log, Service(home, port=0, log=log) as running:
        yield running


@pytest.fixture(scope="module")
def experiment(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("spec") / "study.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    done = command("submit", str(path), "--watch", url=service.url)
    assert done.returncode == 0, done.stderr
    match = re.search(r"exp_[0-9a-f]{32}", done.stdout)
    assert match
    assert "he_uniform" not in done.stdout.split("\n")[0]
    assert "6" in done.stdout
    assert "100%" in done.stderr
    assert re.search(r"took \d+\.\d s; quoted were \d+\.\d s \(\d+\.\d to \d+\.\d\), from a count", done.stdout)
    return match.group(0)


def test_up_says_ready_once_and_leaves_with_0(tmp_path: Path) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "firstlight", "up", "--home", str(tmp_path), "--port", "0"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert up.stdout
    line = up.stdout.readline()
    assert re.fullmatch(r"ready http://127\.0\.0\.1:\d+\n", line)
    with Client(line.split()[1]) as client:
        assert list(client.experiments()) == []
    second = command("up", "--home", str(tmp_path), "--port", "0")
    assert second.returncode == 1
    assert "another service already uses" in second.stderr
    up.send_signal(signal.SIGTERM)
    rest, _ = up.communicate(timeout=PATIENCE)
    assert (up.returncode, rest) == (0, "")


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port}"), Service(tmp_path, port=port):
            pass


def test_a_public_address_gets_a_first_key_in_a_private_file(tmp_path: Path) -> None:
    home, log = tmp_path / "home", tmp_path / "log"
    for start in range(2):
        with log.open("wb") as lines, Service(home, host="0.0.0.0", port=0, slots=0, log=lines) as service:
            url = f"http://127.0.0.1:{service.port}"
            path = home / "api_key"
            key = path.read_text().strip()
            assert path.stat().st_mode & 0o777 == 0o600
            assert httpx.get(f"{url}/v1/experiments").status_code == 401
            with Client(url, api_key=key) as client:
                assert list(client.experiments()) == []
                assert [item["scope"] for item in client.api_keys()] == ["admin"]
        assert (str(path) in log.read_text()) is (start == 0)
        assert key not in log.read_text()


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log, Service(tmp_path / "home", port=0, slots=0, log=log) as service:
        first = command("keys", "create", "mine", "--scope", "admin", url=service.url)
        assert re.fullmatch(r"key_[0-9a-f]{32}_[\w-]{43}\n", first.stdout)
        refused = command("keys", "list", url=service.url)
        assert (refused.returncode, refused.stdout) == (1, "")
        with Client(service.url, api_key=first.stdout.strip()) as client:
            made = client.create_key("lecture", "read")
            assert [item["name"] for item in client.api_keys()] == ["lecture", "mine"]
        env = {"FIRSTLIGHT_API_KEY": first.stdout.strip()}
        listed = command("keys", "list", url=service.url, more=env)
        assert made["id"][:20] in listed.stdout
        assert made["key"] not in listed.stdout
        assert command("keys", "revoke", made["id"], url=service.url, more=env).returncode == 0
        assert httpx.get(service.url, headers={"Authorization": f"Bearer {made['key']}"}).status_code == 401


def test_compare_shows_arms_and_a_verdict(service: Service, experiment: str) -> None:
    done = command("compare", experiment, url=service.url)
    assert done.returncode == 0
    *arms, verdict = done.stdout.splitlines()
    assert [line.split("\t")[0] for line in arms] in (["1", "1"], ["1", "2"])
    assert {line.split("\t")[1].split(" ")[0] for line in arms} == {"relu", "tanh"}
    answer = json.loads(command("compare", experiment, "--json", url=service.url).stdout)
    assert answer["verdict"] == verdict
    assert {arm["n"] for arm in answer["arms"]} == {6}


def test_figures_and_exports_are_written(service: Service, experiment: str, tmp_path: Path) -> None:
    starts = {"curves.png": b"\x89PNG", "heatmap.svg": b"<svg", "curves.json": b"{", "heatmap.pdf": b"%PDF"}
    for name, start in starts.items():
        path = tmp_path / name
        done = command("figure", experiment, path.stem, "-o", str(path), url=service.url)
        assert done.returncode == 0, done.stderr
        assert path.read_bytes().startswith(start)
    for name, start in {
        "rows.csv": b"trial_id",
        "rows.parquet": b"PAR1",
        "rows.jsonl": b"{",
        "report.html": b"<!",
    }.items():
        path = tmp_path / name
        assert command("export", experiment, "-o", str(path), url=service.url).returncode == 0
        assert path.read_bytes().lower().startswith(start.lower())
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 12 * 3
    refused = command("export", experiment, "-o", str(tmp_path / "rows.xls"), url=service.url)
    assert refused.returncode == 2
    assert ".xls" in refused.stderr


def test_a_bad_spec_names_the_field_and_the_legal_names(service: Service) -> None:
    done = command("submit", "-", url=service.url, stdin=json.dumps({**SPEC, "activation": "reluu"}))
    assert done.returncode == 1
    assert "/activation" in done.stderr
    assert "relu" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dry_run_submits_nothing(service: Service) -> None:
    with Client(service.url) as client:
        before = len(list(client.experiments()))
        plan = json.loads(command("submit", "-", "--dry-run", url=service.url, stdin=json.dumps(SPEC)).stdout)
        assert plan["trials"] == 12
        assert len(list(client.experiments())) == before


def test_presets_can_be_listed_and_printed_as_a_spec(service: Service) -> None:
    assert "quickstart" in command("presets", url=service.url).stdout
    spec = yaml.safe_load(command("presets", "quickstart", url=service.url).stdout)
    assert spec["dataset"]
    missing = command("presets", "nothing", url=service.url)
    assert missing.returncode == 1
    assert "quickstart" in missing.stderr


def test_an_unknown_experiment_is_a_clear_error(service: Service) -> None:
    done = command("compare", "exp_nothing", url=service.url)
    assert done.returncode == 1
    assert "404" in done.stderr


def test_no_service_is_a_clear_error() -> None:
    done = command("list", url="http://127.0.0.1:9")
    assert done.returncode == 3
    assert "firstlight up" in done.stderr


def test_the_doctor_finds_a_healthy_service(service: Service) -> None:
    eventually(lambda: httpx.get(f"{service.url}/readyz").is_success, "the worker to be there")
    done = command("doctor", url=service.url)
    assert done.returncode == 0, done.stdout
    assert "is ready" in done.stdout


def test_events_resume_where_they_broke_off(service: Service, experiment: str) -> None:
    with Client(service.url) as client:
        whole = list(client.events(experiment))
        assert [event["id"] for event in whole] == list(range(1, len(whole) + 1))
        assert whole[-1]["event"] == "done"
        assert list(client.events(experiment, after=3)) == whole[3:]


def test_a_lost_answer_is_asked_for_again_under_the_same_key(service: Service) -> None:
    with Client(service.url) as client:
        first = client.submit(SPEC, idempotency_key="the-same")
        assert client.submit(SPEC, idempotency_key="the-same")["id"] == first["id"]
        with pytest.raises(FirstlightHTTPError) as refused:
            client.submit({**SPEC, "epochs": 3}, idempotency_key="the-same")
        assert refused.value.status == 422
        client.wait(first["id"], timeout=PATIENCE)
        client.delete(first["id"])
        with pytest.raises(FirstlightHTTPError):
            client.experiment(first["id"])
