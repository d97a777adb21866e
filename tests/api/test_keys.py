"""Keys, workspaces, the audit log and the rate limit, over HTTP."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from sqlalchemy.exc import OperationalError

from api.events import stream
from api.key_ring import FRESH_SECONDS, KeyRing
from services.accounts.audit import forget_deeds
from services.accounts.keys import create_key, note_uses, revoke_key
from services.accounts.principal import OWNER
from services.db.base import now
from services.db.database import Database
from services.db.tables import ApiKeyRow
from services.redaction import Redaction
from tests.support.workers import PATIENCE, eventually

ADMIN = {"name": "mine", "scope": "admin"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def first_key(served: Any) -> dict[str, Any]:
    answer = served.http.post("/v1/keys", json=ADMIN)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_the_first_key_closes_the_service_and_is_shown_once(served_by_both: Any, tmp_path: Path) -> None:
    http = served_by_both.http
    for body in ({"name": "x", "scope": "read"}, {**ADMIN, "expires_at": "2099-01-01T00:00:00Z"}):
        answer = http.post("/v1/keys", json=body)
        assert answer.status_code == 409, answer.text
    assert "security" not in http.get("/openapi.json").json()["paths"]["/v1/keys"]["get"]
    made = first_key(served_by_both)
    assert http.get("/v1/experiments").status_code == 401
    assert "security" in http.get("/openapi.json").json()["paths"]["/v1/keys"]["get"]
    listed = http.get("/v1/keys", headers=bearer(made["key"]))
    assert listed.json()["items"][0] == {**{k: v for k, v in made.items() if k != "key"}, "last_used_at": None}
    assert http.get(f"/v1/keys/{made['id']}", headers=bearer(made["key"])).json()["name"] == "mine"
    secret = made["key"].removeprefix(made["id"])
    served_by_both.stop()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_the_last_admin_key_stays_until_there_is_another(served: Any) -> None:
    http, first = served.http, first_key(served)
    answer = http.delete(f"/v1/keys/{first['id']}", headers=bearer(first["key"]))
    assert answer.status_code == 409
    second = http.post("/v1/keys", json=ADMIN, headers=bearer(first["key"])).json()
    for _ in range(2):
        assert http.delete(f"/v1/keys/{first['id']}", headers=bearer(second["key"])).status_code == 204
    answer = http.get("/v1/experiments", headers=bearer(first["key"]))
    assert answer.status_code == 401
    assert "revoked" in answer.json()["detail"]
    assert http.get("/v1/experiments").status_code == 401
    assert http.delete(f"/v1/keys/{second['id']}", headers=bearer(second["key"])).status_code == 409


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scope": "read"}, "/name"),
        ({"name": " ", "scope": "read"}, "/name"),
        ({"name": "a\u202eb", "scope": "read"}, "/name"),
        ({"name": "x", "scope": "owner"}, "/scope"),
        ({"name": "x", "scope": "read", "workspace": "wsp_1"}, "/workspace"),
        ({"name": "x", "scope": "read", "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "x", "scope": "read", "expires_at": "2099-01-01T00:00:00"}, "/expires_at"),
        ({"name": "x", "scope": "read", "expires_at": 5}, "/expires_at"),
        ({"name": "x", "scope": "read", "expires_at": "9999-12-31T23:59:59-23:59"}, "/expires_at"),
    ],
)
def test_a_bad_key_request_names_the_field(shared: Any, body: dict[str, Any], pointer: str) -> None:
    answer = shared.http.post("/v1/keys", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_a_key_of_a_workspace_sees_its_own(served: Any) -> None:
    http, first = served.http, first_key(served)
    admin = bearer(first["key"])
    place = http.post("/v1/workspaces", json={"name": "course"}, headers=admin).json()
    assert http.post("/v1/workspaces", json={"name": "course"}, headers=admin).status_code == 409
    assert http.get(f"/v1/workspaces/{place['id']}", headers=admin).json() == place
    absent = {"name": "x", "scope": "read", "workspace": "wsp_" + "0" * 32}
    assert http.post("/v1/keys", json=absent, headers=admin).status_code == 404
    key = http.post("/v1/keys", json={**ADMIN, "workspace": place["id"]}, headers=admin).json()
    own = bearer(key["key"])
    assert [item["id"] for item in http.get("/v1/workspaces", headers=own).json()["items"]] == [place["id"]]
    assert {item["id"] for item in http.get("/v1/workspaces", headers=admin).json()["items"]} == {
        "default",
        place["id"],
    }
    assert [item["id"] for item in http.get("/v1/keys", headers=own).json()["items"]] == [key["id"]]
    first_page = http.get("/v1/keys", params={"limit": 1}, headers=admin).json()
    second_page = http.get("/v1/keys", params={"limit": 1, "cursor": first_page["next_cursor"]}, headers=admin).json()
    assert [item["id"] for item in first_page["items"] + second_page["items"]] == [key["id"], first["id"]]
    # The last admin key of a workspace that is not the default may go: whoever runs the service makes another.
    assert http.delete(f"/v1/keys/{key['id']}", headers=own).status_code == 204


def test_a_stream_ends_when_its_key_is_revoked(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE_SECONDS", 0.05)
    experiment = served.submit()
    admin = bearer(first_key(served)["key"])
    key = served.http.post("/v1/keys", json={"name": "x", "scope": "read"}, headers=admin).json()
    ended = threading.Event()
    begun = threading.Event()

    def follow() -> None:
        with (
            httpx.Client(base_url=served.http.base_url, timeout=PATIENCE, headers=bearer(key["key"])) as client,
            client.stream("GET", experiment["links"]["events"]) as answer,
        ):
            for _ in answer.iter_bytes():
                begun.set()
        ended.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert begun.wait(PATIENCE)
    assert served.http.delete(f"/v1/keys/{key['id']}", headers=admin).status_code == 204
    assert ended.wait(PATIENCE)
    thread.join()


def test_another_process_hears_of_a_revoked_key_in_half_a_second(database: Database) -> None:
    with database.write() as session:
        row, key = create_key(session, OWNER, "first", "admin", "default")
    clock = [0.0]

    async def ask() -> None:
        ring = KeyRing(database, (), clock=lambda: clock[0])
        assert (await ring.asker(b"")).principal is None
        assert (await ring.asker(key.encode())).closed == ""
        with database.write() as session:
            create_key(session, OWNER.__class__(row.id, "admin", "default"), "second", "admin", "default")
            revoke_key(session, OWNER, row.id, others=False)
        assert (await ring.asker(key.encode())).closed == ""
        clock[0] = FRESH_SECONDS
        assert "revoked" in (await ring.asker(key.encode())).closed

    asyncio.run(ask())


def test_the_last_use_is_written_once_a_minute(database: Database) -> None:
    with database.write() as session:
        row, _ = create_key(session, OWNER, "first", "admin", "default")
    moment = now()
    for later, written in ((0, 0), (59, 0), (61, 61)):
        with database.write() as session:
            note_uses(session, {row.id: moment + timedelta(seconds=later)})
        with database.read() as session:
            assert session.get_one(ApiKeyRow, row.id).last_used_at == moment + timedelta(seconds=written)


def test_the_last_use_is_told(served: Any) -> None:
    made = first_key(served)
    path, headers = f"/v1/keys/{made['id']}", bearer(made["key"])
    assert eventually(lambda: served.http.get(path, headers=headers).json()["last_used_at"], "it was used")


def test_a_key_reaches_no_log(served: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made = first_key(served)
    served.http.get("/v1/models", headers=bearer(made["key"]))
    lines = capsys.readouterr().out
    assert f'"key_id": "{made["id"]}"' in lines
    assert made["key"] not in lines
    structlog.get_logger().warning("seen", key=made["key"], nested=[{"header": f"Bearer {made['key']}"}])
    event = Redaction().value({"key": made["key"], "url": f"/?k={made['key']}"})
    secret = made["key"].removeprefix(made["id"] + "_")
    assert secret not in str(event)
    assert made["id"] in str(event)


def test_the_audit_log_tells_who_did_what(served: Any) -> None:
    http, first = served.http, first_key(served)
    admin = bearer(first["key"])
    reader = http.post("/v1/keys", json={"name": "x", "scope": "read"}, headers=admin).json()
    spec = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "epochs": 1, "seeds": 1}
    experiment = http.post("/v1/experiments", json=spec, headers=admin).json()["id"]
    http.post(f"/v1/experiments/{experiment}/cancel", headers=bearer(reader["key"]))
    http.post(f"/v1/experiments/{experiment}/cancel", headers=admin | {"X-Request-ID": "mine"})
    http.post("/v1/experiments", json={}, headers=admin)
    http.get("/v1/experiments", headers=bearer("key_" + "0" * 32 + "_" + "x" * 43))
    http.get("/v1/experiments", headers=admin)
    http.get("/v1/experiments")
    items = http.get("/v1/audit", headers=admin).json()["items"]
    entries = [(item["key_id"], item["method"], item["operation"], item["object_id"], item["status"]) for item in items]
    assert entries == [
        (None, "GET", "/v1/experiments", None, 401),
        (first["id"], "POST", "/v1/experiments", None, 422),
        (first["id"], "POST", "/v1/experiments/{experiment_id}/cancel", experiment, 202),
        (reader["id"], "POST", "/v1/experiments/{experiment_id}/cancel", experiment, 403),
        (first["id"], "POST", "/v1/experiments", experiment, 202),
        (first["id"], "POST", "/v1/keys", reader["id"], 201),
        (None, "POST", "/v1/keys", first["id"], 201),
    ]
    assert items[2]["request_id"] == "mine"
    assert items[2]["workspace"] == "default"
    assert items[0]["address"] == "127.0.0.1"
    page = http.get("/v1/audit", params={"limit": 2, "object": experiment}, headers=admin).json()
    rest = http.get("/v1/audit", params={"cursor": page["next_cursor"], "object": experiment}, headers=admin).json()
    assert page["items"] + rest["items"] == [items[2], items[3], items[4]]
    mine = http.get("/v1/audit", params={"key": reader["id"]}, headers=admin).json()["items"]
    assert mine == [items[3]]


def test_wrong_keys_do_not_fill_the_audit_log(served: Any) -> None:
    admin = bearer(first_key(served)["key"])
    for _ in range(70):
        served.http.get("/", headers=bearer("wrong"))
    assert len(served.http.get("/v1/audit", params={"limit": 1000}, headers=admin).json()["items"]) == 1 + 60


def test_old_lines_are_forgotten(served: Any) -> None:
    first_key(served)
    served.stop()
    for days, gone in ((1.0, 0), (0.0, 1), (0.0, 0)):
        with served.database.write() as session:
            assert forget_deeds(session, days) == gone


def test_more_requests_than_allowed_are_told_when_to_come_back(
    serve: Callable[..., Any], sqlite_url: str, tmp_path: Path
) -> None:
    with serve(tmp_path, sqlite_url, rate_limit="5/hour") as server:
        answers = [server.http.get("/v1/models") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]
        assert answers[0].headers["ratelimit-policy"] == '"requests";q=5;w=3600'
        assert answers[0].headers["ratelimit"].startswith('"requests";r=4;t=')
        assert answers[5].json()["code"] == "too_many_requests"
        assert 3_000 < int(answers[5].headers["retry-after"]) <= 3_600
        for path in ("/healthz", "/metrics", "/docs", "/openapi.json"):
            answer = server.http.get(path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
        experiment = server.http.get("/v1/experiments/exp_" + "0" * 32 + "/events")
        assert experiment.status_code == 404
        # A key has a count of its own.
        with server.database.write() as session:
            key = create_key(session, OWNER, "first", "admin", "default")[1]
        eventually(lambda: server.http.get("/").status_code == 401, "a key is asked for")
        answers = [server.http.get("/v1/models", headers=bearer(key)) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429]


def test_nobody_is_let_in_before_it_is_known_whether_a_key_is_asked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("SELECT", {}, Exception("no route to the database"))

    clock = [0.0]

    async def ask() -> None:
        ring = KeyRing(database, (), clock=lambda: clock[0])
        with monkeypatch.context() as patch:
            patch.setattr(database, "read", away)
            for _ in range(2):
                with pytest.raises(OperationalError):
                    await ring.asker(b"")
        assert (await ring.asker(b"")).principal == OWNER
        clock[0] = 1.0
        with monkeypatch.context() as patch:  # what was seen last counts: nothing of anybody's can be read now
            patch.setattr(database, "read", away)
            assert (await ring.asker(b"")).principal == OWNER
        with database.write() as session:
            create_key(session, OWNER, "first", "admin", "default")
        clock[0] = 2.0
        assert (await ring.asker(b"")).principal is None

    asyncio.run(ask())


def test_a_key_that_cannot_be_looked_up_is_a_503(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = first_key(served)

    def away() -> None:
        raise OperationalError("SELECT", {}, Exception("no route to the database"))

    monkeypatch.setattr(served.database, "read", away)
    answer = served.http.get("/v1/models", headers=bearer(made["key"]))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert served.http.get("/healthz").status_code == 200
