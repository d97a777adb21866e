"""Keys never reach the log, whatever goes wrong; wrong keys reach it sparingly, and are told to wait."""

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from api.failed_keys import BUDGET, MOST_ADDRESSES, WINDOW_SECONDS, FailedKeys
from api.sparing_log import MOST_LINES, SparingLog
from services.log import MOST_LINE
from tests.support.api_process import ApiProcess, api_process

CANARY = "canary-4f1d_7b2e.9c3a/5d6e+7f80="
PASSWORD = "broker-canary-31337"
SPEC = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}
BEARER = {"Authorization": f"Bearer {CANARY}"}


def _ways() -> dict[str, tuple[str, str, dict[str, object]]]:
    """Every place of a request that a key can stand in, beside the one where it belongs."""
    basic = base64.b64encode(f"me:{CANARY}".encode()).decode()
    broken = "/v1/experiments"
    return {
        "bearer": ("GET", broken, {}),
        "basic": ("GET", broken, {"headers": {"Authorization": f"Basic {basic}"}}),
        "dashboard": ("GET", "/", {"headers": {"Authorization": f"Basic {basic}"}}),
        "query": ("GET", f"{broken}?api_key={quote(CANARY)}", {}),
        "tag": ("GET", f"{broken}?tag={quote(CANARY)}", {}),
        "filter": ("GET", f"{broken}?filter=tag='{quote(CANARY)}' or created_at > '2026-01-01'", {}),
        "headers": ("GET", broken, {"headers": {**BEARER, "X-API-Key": CANARY, "User-Agent": CANARY}}),
        "cookie": ("GET", broken, {"headers": {**BEARER, "Cookie": f"key={CANARY}"}}),
        "path": ("GET", f"/v1/experiments/{quote(CANARY, safe='')}", {}),
        "body": ("POST", "/v1/experiments", {"json": {**SPEC, "name": CANARY, "tags": [CANARY]}}),
        "clone": ("POST", "/v1/experiments/ID/clone", {"json": {"spec": {"name": CANARY}}}),
        "idempotency": ("POST", "/v1/experiments", {"json": SPEC, "headers": {**BEARER, "Idempotency-Key": CANARY}}),
        "request id": ("GET", broken, {"headers": {**BEARER, "X-Request-ID": "canary-4f1d_7b2e.9c3a"}}),
    }


@pytest.fixture(scope="module")
def locked(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    home = tmp_path_factory.mktemp("canary")
    settings = {"broker_url": "redis://127.0.0.1:9/0", "broker_password": PASSWORD}
    with api_process(home, migrated_sqlite, api_keys=f"{CANARY},canary-4f1d_7b2e.9c3a", **settings) as process:
        yield process


def test_a_key_sent_in_every_way_is_in_no_line_of_a_provoked_500(locked: ApiProcess) -> None:
    made = locked.http.post("/v1/experiments", json=SPEC, headers=BEARER)
    assert made.status_code == 202, made.text
    with sqlite3.connect(locked.log_path.parent / "firstlight.db") as database:
        # What no code of ours writes: reading it is an error that nobody foresaw.
        database.execute("UPDATE experiments SET created_at = 'garbage', spec = '[]'")
    failed: set[str] = set()
    for name, (method, path, request) in _ways().items():
        arguments = {"headers": BEARER, **request}
        answer = locked.http.request(method, path.replace("ID", made.json()["id"]), **arguments)  # type: ignore[arg-type]
        assert "canary" not in answer.text + str(answer.headers) or answer.status_code < 500, name
        failed |= {name} if answer.status_code == 500 else set()
    assert failed >= {"bearer", "basic", "dashboard", "query", "headers", "cookie", "clone", "request id"}
    lines = locked.log.splitlines()
    assert sum('"request_failed"' in line or '"stored_row_unreadable"' in line for line in lines) >= len(failed)
    for line in lines:
        assert "canary" not in line, line[:500]
        assert len(line) <= MOST_LINE
        assert '"locals"' not in line
        assert json.loads(line)["event"]


def test_wrong_keys_are_noted_and_after_a_while_told_to_wait(locked: ApiProcess) -> None:
    def ask(key: str) -> httpx.Response:
        return locked.http.get("/v1/experiments/none", headers={"Authorization": f"Bearer {key}"})

    answers = [ask("wrong-canary-0")]
    while answers[-1].status_code == 401 and len(answers) < 50 * BUDGET:
        answers.append(ask(f"wrong-canary-{len(answers)}"))
    refused = answers[-1]
    assert refused.status_code == 429
    assert len(answers) > BUDGET
    assert 1 <= int(refused.headers["retry-after"]) <= WINDOW_SECONDS
    assert refused.json()["code"] == "too_many_wrong_keys"
    assert ask(CANARY).status_code == 404, "a right key is served all the same"
    assert locked.http.get("/v1/experiments").status_code == 401, "no key at all is no wrong key"
    noted = [line for line in locked.log.splitlines() if '"wrong_key"' in line]
    assert 1 <= len(noted) <= MOST_LINES
    assert "127.0.0.1" in noted[0]
    assert "canary" not in "".join(noted)


def test_the_counter_of_wrong_keys_forgets_and_stays_small() -> None:
    now = 0.0

    def tick() -> float:
        return now

    counter = FailedKeys(tick)
    assert [counter.count("10.0.0.1") for _ in range(BUDGET)] == [None] * BUDGET
    assert counter.count("10.0.0.1") == WINDOW_SECONDS
    assert counter.count("10.0.0.2") is None
    assert [counter.count(f"2001:db8::{number:x}") for number in range(BUDGET)] == [None] * BUDGET
    assert counter.count("2001:db8::ffff:1") == WINDOW_SECONDS, "one network of IPv6 is one client"
    now = WINDOW_SECONDS
    assert counter.count("10.0.0.1") is None
    for number in range(MOST_ADDRESSES + 10):
        counter.count(f"10.1.{number >> 8}.{number & 255}")
    assert len(counter._windows) == MOST_ADDRESSES


def test_lines_that_strangers_cause_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    sparing = SparingLog(lambda: now)
    for _ in range(MOST_LINES + 7):
        sparing.line("something", why="x")
    assert capsys.readouterr().out.count("something") == MOST_LINES
    now = 61.0
    sparing.line("something", why="x")
    assert '"left_out_before": 7' in capsys.readouterr().out
