"""Keys, headers, and addresses that are not served."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from api.__main__ import refuse_open_bind
from services.settings import Settings
from tests.support.workers import PATIENCE

KEYS = "first-key,second-key"


@pytest.fixture(scope="module")
def locked(migrated_sqlite: Path, serve: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    home = tmp_path_factory.mktemp("locked")
    (home / "firstlight.db").write_bytes(migrated_sqlite.read_bytes())
    with serve(home, f"sqlite:///{home / 'firstlight.db'}", api_keys=KEYS) as server:
        yield server


def test_every_documented_route_needs_a_key(locked: Any) -> None:
    paths = locked.http.get("/openapi.json").json()["paths"]
    closed = {path for path in paths if path.startswith("/v1")} | {"/", "/metrics"}
    for path in closed:
        for method in paths.get(path, {"get": {}}):
            answer = locked.http.request(method, path.replace("{", "").replace("}", ""))
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "unauthorized"


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/docs/swagger-ui.css", "/openapi.json"])
def test_what_tells_nothing_needs_none(locked: Any, path: str) -> None:
    assert locked.http.get(path).status_code == 200
    assert locked.http.get("/readyz").status_code == 503  # there is no worker, which is no question of keys


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer first-key", 200),
        ("bearer second-key", 200),
        ("Bearer third-key", 401),
        ("Bearer first-key,second-key", 401),
        ("Bearer", 401),
        ("Basic " + base64.b64encode(b"anybody:first-key").decode(), 200),
        ("Basic " + base64.b64encode(b"first-key:").decode(), 401),
        ("Basic !!", 401),
        ("first-key", 401),
    ],
)
def test_only_the_services_keys_open_it(locked: Any, header: str, status: int) -> None:
    assert locked.http.get("/v1/experiments", headers={"Authorization": header}).status_code == status


def test_what_a_browser_sends_by_itself_opens_nothing_that_writes(locked: Any) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(b"x:first-key").decode()}
    assert locked.http.post("/v1/experiments/exp_x/cancel", headers=basic).status_code == 401


def test_two_keys_may_use_the_same_idempotency_key(locked: Any) -> None:
    spec = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}
    ids = {
        locked.http.post(
            "/v1/experiments", json=spec, headers={"Authorization": f"Bearer {key}", "Idempotency-Key": "same"}
        ).json()["id"]
        for key in ("first-key", "second-key")
    }
    assert len(ids) == 2


def test_answers_carry_the_security_headers(shared: Any) -> None:
    for path in ("/v1/experiments", "/nowhere", "/healthz"):
        headers = shared.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_no_other_site_is_allowed_to_read(shared: Any) -> None:
    answer = shared.http.options(
        "/v1/experiments", headers={"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    )
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "keys", "refused"),
    [
        ("127.0.0.1", "", False),
        ("127.8.8.8", "", False),
        ("::1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "", True),
        ("::", "", True),
        ("192.168.1.5", "", True),
        ("example.org", "", True),
        ("0.0.0.0", "key", False),
    ],
)
def test_beyond_this_machine_only_with_keys(host: str, keys: str, refused: bool) -> None:
    assert (
        refuse_open_bind(host, Settings(api_keys=tuple(SecretStr(key) for key in keys.split()))) is not None
    ) is refused


def test_an_open_bind_ends_with_a_clear_message(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "api", "--host", "0.0.0.0", "--port", "0"],
        env={**os.environ, "FIRSTLIGHT_HOME": str(tmp_path), "FIRSTLIGHT_API_KEYS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert "FIRSTLIGHT_API_KEYS" in process.stderr
    assert not (tmp_path / "firstlight.db").exists()


def test_names_are_text_and_never_markup(shared: Any) -> None:
    shared.submit(name="<script>alert(1)</script>", tags=["<b>"])
    answer = shared.http.get("/")
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]
