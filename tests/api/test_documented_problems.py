"""Every problem of the OpenAPI document is what the code answers: status, type, title, sentence and shape."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from api.connection_guard import MOST_FIELDS
from services.db.tables import CohortRow, ExperimentRow, TrialRow
from services.science.datasets.upload import UPLOADS
from tests.support.api_process import ApiProcess, api_process

SPEC = {"dataset": "digits", "activation": "relu", "initializer": "zeros", "optimizer": "adma", "epochs": 1, "seeds": 1}
CSV = "a,b,y\n1,2,3\n2,3,4\n3,4,5\n4,5,6\n"
NOBODY = {
    **{
        f"{noun}_id": f"{prefix}_{'0' * 32}"
        for noun, prefix in (("experiment", "exp"), ("trial", "trl"), ("key", "key"))
    },
    **dict.fromkeys(("workspace_id", "kind", "name"), "nothing"),
}
ADMIN = {"Authorization": "Bearer " + "k" * 32}
EXEMPT = {("get", "/readyz", "503"): "it answers what is ready, as a document of its own"}

Problem = dict[str, Any]


@pytest.fixture(scope="module")
def document(shared: Any) -> dict[str, Any]:
    return shared.http.get("/openapi.json").json()


@pytest.fixture(scope="module")
def locked(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Any]) -> Any:
    home = tmp_path_factory.mktemp("locked")
    shutil.copyfile(migrated_sqlite, home / "firstlight.db")
    with serve(home, f"sqlite:///{home / 'firstlight.db'}", api_keys=["k" * 32]) as served:
        yield served


@pytest.fixture(scope="module")
def hasty(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    with api_process(tmp_path_factory.mktemp("hasty"), migrated_sqlite, body_seconds="0.5") as process:
        yield process


def examples(document: dict[str, Any]) -> Iterator[tuple[str, str, str, Problem]]:
    """Method, path, status and example of every documented problem."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation.get("responses", {}).items():
                if int(status) >= 400 and (method, path, status) not in EXEMPT:
                    yield method, path, status, answer["content"]["application/problem+json"]["example"]


def example(document: dict[str, Any], method: str, path: str, status: int) -> Problem:
    content = document["paths"][path][method]["responses"][str(status)]["content"]
    return content["application/problem+json"]["example"]


def masked(text: str) -> str:
    """The sentence without what is the single case's: ids and numbers."""
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"(exp|trl|dts|key)_[0-9a-f]+", r"\1_ID", text))


def assert_documented(documented: Problem, answer: httpx.Response) -> None:
    """The answer is the example, but for ids and numbers."""
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == documented["status"], problem
    for name in ("type", "title", "status", "code"):
        assert problem[name] == documented[name]
    assert masked(problem["detail"]) == masked(documented["detail"])
    assert masked(json.dumps(problem["errors"])) == masked(json.dumps(documented["errors"]))
    assert problem.keys() == documented.keys()


def test_a_problem_means_the_same_at_every_operation(document: dict[str, Any]) -> None:
    """Of one status there is one example; only where a spec is posted and where work is added there is a second."""
    by_status: dict[str, set[str]] = {}
    for _, _, status, problem in examples(document):
        by_status.setdefault(status, set()).add(problem["code"])
    assert {status for status, codes in by_status.items() if len(codes) > 1} == {"422", "429"}
    posts = {"/v1/experiments", "/v1/experiments/{experiment_id}/clone"}
    for code, paths in (("spec_invalid", posts), ("workspace_full", posts | {"/v1/experiments/{experiment_id}/retry"})):
        assert {path for _, path, _, problem in examples(document) if problem["code"] == code} == paths


@pytest.mark.parametrize(
    ("method", "path", "how"),
    [
        ("post", "/v1/experiments", {"content": b'{"dataset": ', "headers": {"Content-Type": "application/json"}}),
        ("post", "/v1/experiments", {"content": b"x" * 1_000_001, "headers": {"Content-Type": "application/json"}}),
        ("post", "/v1/experiments", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
        ("post", "/v1/experiments", {"json": SPEC}),
        ("get", "/v1/experiments", {"headers": {"Host": "a.org"}}),
        ("get", "/v1/experiments", {"headers": {f"X-{number}": "v" for number in range(MOST_FIELDS + 1)}}),
        ("get", "/v1/experiments", {"params": {"limit": 0}}),
        ("get", "/v1/experiments/{experiment_id}", {}),
    ],
    ids=["400", "413", "415", "422 of a spec", "421", "431", "422", "404"],
)
def test_a_bad_request_gets_the_documented_problem(
    shared: Any, document: dict[str, Any], method: str, path: str, how: dict[str, Any]
) -> None:
    answer = shared.http.request(method, path.format_map(NOBODY), **how)
    assert_documented(example(document, method, path, answer.status_code), answer)


def test_what_the_state_forbids_gets_the_documented_problem(served: Any, document: dict[str, Any]) -> None:
    experiment = served.submit()
    served.train()
    for action in ("cancel", "pause", "resume", "retry"):
        path = "/v1/experiments/{experiment_id}/" + action
        answer = served.http.post(path.format(experiment_id=experiment["id"]))
        documented = example(document, "post", path, 409)
        assert answer.status_code == 409
        assert (answer.json()["type"], answer.json()["title"]) == (documented["type"], documented["title"])
        if action == "cancel":
            assert_documented(documented, answer)


def test_what_cannot_be_served_gets_the_documented_problem(served: Any, document: dict[str, Any]) -> None:
    path = "/v1/experiments/{experiment_id}/metrics"
    answer = served.http.get(path.format(experiment_id=served.submit()["id"]), headers={"Accept": "image/png"})
    assert_documented(example(document, "get", path, 406), answer)


def test_what_is_gone_gets_the_documented_problem(served: Any, document: dict[str, Any]) -> None:
    added = served.http.post("/v1/datasets?target=y", content=CSV, headers={"Content-Type": "text/csv"})
    assert added.status_code == 201, added.text
    folder = served.settings.data_path / UPLOADS / added.json()["name"]
    for file in folder.iterdir():
        if file.suffix != ".json":
            file.unlink()
    answer = served.http.get(f"/v1/datasets/{added.json()['name']}")
    assert_documented(example(document, "get", "/v1/datasets/{name}", 410), answer)


def test_a_reached_limit_gets_the_documented_problem(
    serve: Callable[..., Any], sqlite_url: str, tmp_path: Path, document: dict[str, Any]
) -> None:
    with serve(tmp_path, sqlite_url, max_streams=1) as served:
        path = served.submit()["links"]["events"]
        with served.http.stream("GET", path) as first:
            assert first.status_code == 200
            answer = served.http.get(path)
    assert_documented(example(document, "get", "/v1/experiments/{experiment_id}/events", 429), answer)


def test_a_full_workspace_gets_the_documented_problem(
    serve: Callable[..., Any], sqlite_url: str, tmp_path: Path, document: dict[str, Any]
) -> None:
    spec = {**SPEC, "optimizer": "adam", "seeds": 12}
    with serve(tmp_path, sqlite_url, max_trials=12, max_workspace_trials=12) as served:
        experiment = served.http.post("/v1/experiments", json=spec).json()["id"]
        with served.database.write() as session:
            for row in (ExperimentRow, CohortRow, TrialRow):
                session.execute(update(row).values(state="failed"))
        served.http.post("/v1/experiments", json=spec)
        for path, body in (
            ("/v1/experiments", spec),
            ("/v1/experiments/{experiment_id}/clone", {}),
            ("/v1/experiments/{experiment_id}/retry", None),
        ):
            answer = served.http.post(path.format(experiment_id=experiment), json=body)
            assert_documented(example(document, "post", path, 429), answer)
            assert 5 <= int(answer.headers["Retry-After"]) <= 3600


def test_a_slow_body_gets_the_documented_problem(hasty: ApiProcess, document: dict[str, Any]) -> None:
    with hasty.connect() as connection:
        connection.sendall(
            b"POST /v1/experiments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{"
        )
        content = b""
        while piece := connection.recv(65_536):
            content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    fields = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
    answer = httpx.Response(int(head.split()[1]), headers=[(name, value) for name, value in fields], content=body)
    assert_documented(example(document, "post", "/v1/experiments", 408), answer)


def test_a_missing_key_gets_the_documented_problem(locked: Any) -> None:
    document, answer = locked.http.get("/openapi.json", headers=ADMIN).json(), locked.http.get("/v1/experiments")
    assert_documented(example(document, "get", "/v1/experiments", 401), answer)


def test_a_key_of_too_small_a_scope_gets_the_documented_problem(locked: Any) -> None:
    document = locked.http.get("/openapi.json", headers=ADMIN).json()
    made = locked.http.post("/v1/keys", json={"name": "reads", "scope": "read"}, headers=ADMIN)
    assert made.status_code == 201, made.text
    answer = locked.http.post("/v1/experiments", json={}, headers={"Authorization": f"Bearer {made.json()['key']}"})
    assert_documented(example(document, "post", "/v1/experiments", 403), answer)


def test_a_defect_and_a_database_that_is_away_get_the_documented_problems(
    served: Any, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("refused"))

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    for failing, status in ((away, 503), (broken, 500)):
        monkeypatch.setattr(served.database, "read", failing)
        assert_documented(example(document, "get", "/v1/experiments", status), served.http.get("/v1/experiments"))


def test_every_operation_answers_the_unknown_and_the_invalid_as_documented(
    shared: Any, document: dict[str, Any]
) -> None:
    """Status, type and title of every 404, and of every 422 that a parameter or a body can bring about."""
    seen: dict[str, int] = {"404": 0, "422": 0}
    for method, path, status, documented in examples(document):
        operation = document["paths"][path][method]
        for request in wrong_requests(method, path, status, operation):
            answer = shared.http.request(**request)
            assert answer.status_code == int(status), (request, answer.text)
            problem = answer.json()
            assert (problem["type"], problem["title"]) == (documented["type"], documented["title"]), request
            seen[status] += 1
    assert seen["404"] >= 20
    assert seen["422"] >= 12


def wrong_requests(method: str, path: str, status: str, operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A request that must be answered with this status, where one can be made from the document alone."""
    url = path.format_map({**NOBODY, "form": "svg"})
    whole = {
        name: parameter["schema"]
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and "minimum" in parameter["schema"]
        for name in [parameter["name"]]
    }
    has_body = "application/json" in operation.get("requestBody", {}).get("content", {})
    if status == "404" and "{" in path and not has_body:
        yield {"method": method, "url": url}
    if status == "422" and whole and "{" not in path:
        for name, schema in whole.items():
            yield {"method": method, "url": url, "params": {name: schema["minimum"] - 1}}
    if status == "422" and has_body and "{" not in path:
        yield {"method": method, "url": url, "json": {"no_such_field": 1}}
