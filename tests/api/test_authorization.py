"""The authorization matrix, made from `api/scopes.py`: every route, asked by everybody, about things that are there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from shutil import copyfile
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import SecretStr
from sqlalchemy import update

from api.app import ROUTERS, create_app
from api.scopes import SCOPES, Need, check_declared
from services.accounts.keys import create_key, revoke_key
from services.accounts.principal import OWNER
from services.accounts.workspaces import create_workspace
from services.db.base import now
from services.db.database import Database
from services.db.tables import ApiKeyRow, DiagnosticRow
from services.predictions.scorecard import NUMBERS
from services.queue import SilentDoorbell
from services.settings import Settings
from tests.api.conftest import SPEC, Served

SECRET = "the secret study"
NOBODY = ("no key", "wrong key", "wrong secret", "expired", "revoked")
OURS = ("read", "write", "admin")
OTHERS = ("other read", "other admin")
CSV = b"area,age,price\n120,30,250\n80,12,210\n95,3,230\n70,9,150\n"
UNKNOWN_KEY = "key_" + "0" * 32 + "_" + "a" * 43

KINDS = {
    "/v1/activations/{kind}": "relu",
    "/v1/initializers/{kind}": "he_uniform",
    "/v1/initializers/{kind}/sample": "he_uniform",
    "/v1/optimizers/{kind}": "sgd",
    "/v1/models/{kind}": "mlp",
    "/v1/figures/{kind}": "curves",
    "/v1/experiments/{experiment_id}/figures/{kind}.{form}": "curves",
}
NAMES = {"/docs/{name}": "swagger-ui.css", "/v1/presets/{name}": "quickstart"}


@dataclass
class Stage:
    """A service with two workspaces, their keys, and things in the default one."""

    app: FastAPI
    database: Database
    settings: Settings
    keys: dict[str, str]
    other_workspace: str
    experiment: str = ""
    trial: str = ""
    table: str = ""
    key: str = ""
    hosts: Iterator[int] = field(default_factory=count)

    def secrets(self) -> set[str]:
        """What nobody of another workspace may ever read."""
        return {SECRET, self.experiment, self.trial, self.table, self.key, *self.keys.values()}

    @asynccontextmanager
    async def client(self, asker: str | None) -> AsyncIterator[httpx.AsyncClient]:
        """A client with an address of its own: many wrong keys from one are answered otherwise."""
        number = next(self.hosts)
        transport = httpx.ASGITransport(self.app, client=(f"10.0.{number // 250}.{number % 250}", 1))
        headers = {} if asker is None else {"Authorization": f"Bearer {asker}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
            yield client


@pytest.fixture(scope="module")
def stage(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("stage")
    copyfile(migrated_sqlite, home / "firstlight.db")
    settings = Settings(home=home, database_url=SecretStr(f"sqlite:///{home / 'firstlight.db'}"))
    database = Database(settings)
    fresh_stage = Stage(create_app(settings, database=database, doorbell=SilentDoorbell()), database, settings, {}, "")
    with database.write() as session:
        row, fresh_stage.keys["admin"] = create_key(session, OWNER, "first", "admin", "default")
        fresh_stage.key = row.id
        fresh_stage.other_workspace = create_workspace(session, "other").id
    admin = OWNER.__class__(fresh_stage.key, "admin", "default")
    with database.write() as session:
        for scope in ("read", "write"):
            _, fresh_stage.keys[scope] = create_key(session, admin, scope, scope, "default")
        for scope in ("read", "admin"):
            _, fresh_stage.keys[f"other {scope}"] = create_key(
                session, admin, scope, scope, fresh_stage.other_workspace
            )
        expired, fresh_stage.keys["expired"] = create_key(session, admin, "old", "admin", "default")
        session.execute(
            update(ApiKeyRow).where(ApiKeyRow.id == expired.id).values(expires_at=now() - timedelta(seconds=1))
        )
        revoked, fresh_stage.keys["revoked"] = create_key(session, admin, "lost", "admin", "default")
        revoke_key(session, admin, revoked.id, others=False)
    fresh_stage.keys["wrong key"] = UNKNOWN_KEY
    fresh_stage.keys["wrong secret"] = fresh_stage.keys["admin"][:-1] + (
        "A" if fresh_stage.keys["admin"][-1] != "A" else "B"
    )
    asyncio.run(_furnish(fresh_stage))
    yield fresh_stage
    fresh_stage.app.state.context.renderer.close()
    fresh_stage.app.state.context.doorbell.close()
    database.dispose()


async def _furnish(stage: Stage) -> None:
    stage.experiment = await _submitted(stage, seeds=2)
    Served(None, stage.database, stage.settings, lambda: None).train()  # type: ignore[arg-type]
    stage.table = await _uploaded(stage)
    async with stage.client(stage.keys["write"]) as client:
        answer = await client.get(f"/v1/experiments/{stage.experiment}/trials")
        stage.trial = answer.json()["items"][0]["id"]
    values = dict.fromkeys(NUMBERS, 1.0)
    with stage.database.write() as session:
        session.add(DiagnosticRow(trial_id=stage.trial, epoch=0, layer="dense_1", layer_index=0, values=values))


async def _submitted(stage: Stage, **changes: Any) -> str:
    spec = {**SPEC, "name": SECRET, "initializer": "he_uniform", "seeds": 1, "epochs": 1, **changes}
    async with stage.client(stage.keys["write"]) as client:
        answer = await client.post("/v1/experiments", json=spec)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]


async def _uploaded(stage: Stage, content: bytes = CSV) -> str:
    async with stage.client(stage.keys["write"]) as client:
        answer = await client.post("/v1/datasets", params={"name": SECRET}, content=content)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]


async def _values(stage: Stage, route: str) -> dict[str, str]:
    """Ids for a route's path: of things that are there, and may be gone afterwards."""
    method, path = route.split(" ")
    name = NAMES.get(path, stage.table)
    key = stage.key
    experiment = stage.experiment
    if method == "DELETE" and path == "/v1/datasets/{name}":
        name = await _uploaded(stage, CSV + f"{next(stage.hosts)},1,1\n".encode())
    if method == "DELETE" and path == "/v1/keys/{key_id}":
        with stage.database.write() as session:
            admin = OWNER.__class__(stage.key, "admin", "default")
            key = create_key(session, admin, "to go", "read", "default")[0].id
    if method in ("POST", "DELETE") and "{experiment_id}" in path:
        experiment = await _submitted(stage)
    return {
        "experiment_id": experiment,
        "trial_id": stage.trial,
        "key_id": key,
        "workspace_id": "default",
        "name": name,
        "kind": KINDS.get(path, ""),
        "form": "json",
    }


def _request(stage: Stage, route: str, asker: str) -> dict[str, Any]:
    """Body and header fields with which a route does something."""
    bodies: dict[str, dict[str, Any]] = {
        "POST /v1/experiments": {"json": {**SPEC, "seeds": 1, "epochs": 1, "name": asker}},
        "POST /v1/comparisons": {"json": {"experiments": [stage.experiment]}},
        "POST /v1/predictions": {"json": {"activation": "relu", "initializer": "he_uniform", "depth": 2, "width": 8}},
        "POST /v1/initializers/{kind}/sample": {"json": {"shape": [4, 2], "seed": 0}},
        "POST /v1/datasets": {"content": CSV + b"5,5,5\n"},
        "POST /v1/keys": {"json": {"name": "another", "scope": "read"}},
        "POST /v1/workspaces": {"json": {"name": f"workspace {next(stage.hosts)}"}},
        "GET /v1/experiments/{experiment_id}/events": {"headers": {"Last-Event-ID": "999999999"}},
    }
    return bodies.get(route, {})


ABOUT_ONE_THING = ("{experiment_id}", "{trial_id}", "{key_id}", "{workspace_id}", "/v1/datasets/{name}")


def expected(need: Need, route: str, asker: str) -> set[int]:
    """What the declared scope means for whoever asks."""
    if need.scope is None:
        return {200, 503} if route == "GET /readyz" else {200}
    if asker in NOBODY:
        return {401}
    scope = asker.removeprefix("other ")
    order = ("read", "write", "admin")
    if order.index(scope) < order.index(need.scope) or (asker in OTHERS and need.service):
        return {403}
    if asker in OTHERS and (any(part in route for part in ABOUT_ONE_THING) or route == "POST /v1/comparisons"):
        return {404}
    return {200} if route.startswith("GET ") and "/events" not in route else {200, 201, 202, 204, 409}


@pytest.mark.parametrize("route", SCOPES)
def test_every_route_answers_everybody_by_its_scope(stage: Stage, route: str) -> None:
    need = SCOPES[route]

    async def ask() -> None:
        for asker in (*NOBODY, *OURS, *OTHERS):
            method, path = route.split(" ")
            values = await _values(stage, route)
            async with stage.client(stage.keys.get(asker)) as client:
                answer = await client.request(method, path.format(**values), **_request(stage, route, asker))
            assert answer.status_code in expected(need, route, asker), (asker, answer.text[:500])
            if answer.status_code == 403:
                problem = answer.json()
                assert problem["code"] == "insufficient_scope"
                assert need.in_words() in problem["detail"]
                assert f"the scope {asker.removeprefix('other ')}" in problem["detail"]
                assert f'scope="{need.scope}"' in answer.headers["www-authenticate"]
            if asker not in OURS:
                ids = {value for value in values.values() if value in path.format(**values)} | {stage.experiment}
                allowed = ids if answer.status_code >= 400 else set[str]()
                # Who made their keys, and what they tried themselves, they may know.
                allowed |= {stage.key} if route in ("GET /v1/keys", "GET /v1/audit") else set()
                leaks = {secret for secret in stage.secrets() - allowed if secret in answer.text}
                assert not leaks, (asker, answer.text[:500])

    asyncio.run(ask())


def test_what_others_tried_has_changed_nothing(stage: Stage) -> None:
    async def ask() -> None:
        experiment, table = await _submitted(stage), await _uploaded(stage, CSV + b"1,1,7\n")
        paths = [
            *(("POST", f"/v1/experiments/{experiment}/{verb}") for verb in ("cancel", "pause", "clone", "retry")),
            ("DELETE", f"/v1/experiments/{experiment}"),
            ("DELETE", f"/v1/datasets/{table}"),
            ("DELETE", f"/v1/keys/{stage.key}"),
        ]
        async with stage.client(stage.keys["other admin"]) as client:
            for method, path in paths:
                assert (await client.request(method, path)).status_code == 404, path
        async with stage.client(stage.keys["admin"]) as client:
            document = (await client.get(f"/v1/experiments/{experiment}")).json()
            assert (document["state"], document["desired"]) == ("queued", "run")
            assert (await client.get(f"/v1/datasets/{table}")).status_code == 200
            assert (await client.get(f"/v1/keys/{stage.key}")).json()["revoked_at"] is None

    asyncio.run(ask())


def test_lists_filters_cursors_and_specs_tell_nothing_of_another_workspace(stage: Stage) -> None:
    async def ask() -> None:
        await _submitted(stage)
        async with stage.client(stage.keys["admin"]) as client:
            cursor = (await client.get("/v1/experiments", params={"limit": 1})).json()["next_cursor"]
        assert cursor
        async with stage.client(stage.keys["other admin"]) as client:
            mine = (await client.post("/v1/experiments", json={**SPEC, "seeds": 1, "name": "mine"})).json()["id"]
            for query in (
                {"cursor": cursor},
                {"filter": f"name = '{SECRET}' or name contains 'secret'"},
                {"filter": "not (name = 'mine')"},
                {"dataset": "digits", "limit": 1000},
            ):
                items = (await client.get("/v1/experiments", params=query)).json()["items"]
                assert all(item["name"] in ("mine", "other admin") for item in items), query
            both = {"experiments": [mine, stage.experiment]}
            assert (await client.post("/v1/comparisons", json=both)).status_code == 404
            spec = {"dataset": stage.table, "activation": "relu", "initializer": "he_uniform", "epochs": 1, "seeds": 1}
            for query in ({}, {"dry_run": "true"}):
                answer = await client.post("/v1/experiments", json=spec, params=query)
                assert answer.status_code == 422, answer.text
                assert SECRET not in answer.text
            # The same table is another one in another workspace, and keeps its own name.
            again = await client.post("/v1/datasets", params={"name": "mine"}, content=CSV)
            assert again.json()["title"] == "mine"
            assert again.json()["id"] != stage.table
            assert (await client.delete(f"/v1/datasets/{again.json()['id']}")).status_code == 204
            assert (await client.get("/v1/predictions/scorecard")).json()["trials"] == 0
            for path in ("/v1/keys", "/v1/audit"):
                assert (await client.get(path, params={"workspace": "default"})).status_code == 404
            body = {"name": "mine", "scope": "admin", "workspace": "default"}
            assert (await client.post("/v1/keys", json=body)).status_code == 404
        async with stage.client(stage.keys["admin"]) as client:
            assert (await client.get(f"/v1/datasets/{stage.table}")).status_code == 200
            assert (await client.get("/v1/predictions/scorecard")).json()["trials"] > 0

    asyncio.run(ask())


def test_the_scope_comes_before_the_body(stage: Stage) -> None:
    async def ask() -> None:
        async with stage.client(stage.keys["read"]) as client:
            for body in (b"{", b'{"x": 1}', b"x" * 2_000_000):
                answer = await client.post("/v1/experiments", content=body)
                assert answer.status_code == 403
        async with stage.client(stage.keys["write"]) as client:
            for name, value in (("id", "x"), ("secret_sha256", "0" * 64), ("workspace_id", "default")):
                body = {"name": "x", "scope": "read", name: value}
                assert (await client.post("/v1/keys", json=body)).status_code == 403
        async with stage.client(stage.keys["admin"]) as client:
            for name, value in (("id", "x"), ("secret_sha256", "0" * 64), ("workspace_id", "default")):
                answer = await client.post("/v1/keys", json={"name": "x", "scope": "read", name: value})
                assert answer.status_code == 422
                assert answer.json()["errors"][0]["pointer"] == f"/{name}"

    asyncio.run(ask())


def test_a_route_without_a_scope_is_not_served() -> None:
    router = APIRouter()

    @router.get("/v1/new")
    def new() -> None: ...

    served = [route for place in ROUTERS for route in place.routes]
    with pytest.raises(RuntimeError, match="without a scope: GET /v1/new"):
        check_declared([*served, *router.routes])
    with pytest.raises(RuntimeError, match=r"declared and not served: GET /$"):
        check_declared([route for route in served if getattr(route, "path", "") != "/"], _declared(served))


def _declared(served: list[Any]) -> dict[str, Need]:
    paths = {route.path for route in served}
    return {route: need for route, need in SCOPES.items() if route.split(" ")[1] in paths}


def test_the_document_names_the_scope_of_every_operation(stage: Stage) -> None:
    async def ask() -> dict[str, Any]:
        async with stage.client(stage.keys["read"]) as client:
            assert (await client.get("/v1/experiments")).status_code == 200
            return (await client.get("/openapi.json")).json()

    document = asyncio.run(ask())
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            need = SCOPES[f"{method.upper()} {path}"]
            assert operation.get("security") == (None if need.scope is None else [{"key": [need.scope]}])
            if need.scope is not None:
                assert {"401", "403", "429"} <= operation["responses"].keys()
