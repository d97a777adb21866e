"""The document describes what the service does: structure, examples, and requests made from it."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import update

from services.cohorts import workers
from services.cohorts.workers import Identity
from services.db.clock import CLOCK
from services.db.tables import WorkerRow
from tests.support.workers import PATIENCE

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
METHODS = {"get", "post", "delete", "put", "patch"}


@pytest.fixture(scope="module")
def document(shared: Any) -> dict[str, Any]:
    return shared.http.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, found in document["paths"].items()
        for method, operation in found.items()
        if method in METHODS
    ]


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in str(document)


def test_every_operation_is_described(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        assert operation.get("summary"), (method, path)
        assert operation.get("description") or method == "get", (method, path)
        assert any(status.startswith("2") for status in operation["responses"]), (method, path)


def test_every_body_and_problem_has_an_example(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and not (path == "/readyz" and status == "503"):
                example = answer["content"]["application/problem+json"]["example"]
                assert example["status"] == int(status), (method, path)
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if body:
            assert "examples" in body or "examples" in str(resolved(document, body["schema"])), (method, path)


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    for part in [schema, *schema.get("anyOf", [])]:
        if "$ref" in part:
            return document["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]]
    return schema


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(document["components"]["schemas"])

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(item) for item in value.values()))
        if isinstance(value, list):
            return set().union(*(references(item) for item in value))
        return set()

    found = {reference.rsplit("/", 1)[1] for reference in references(document)}
    assert found <= names


def test_every_operation_with_an_address_to_fill_in_may_find_it_unreadable(document: dict[str, Any]) -> None:
    """Drawn requests seldom hold the NUL character that is answered with 400."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation.get("parameters"):
                assert "400" in operation["responses"], (method, path)


@pytest.fixture
def worker(shared: Any) -> Iterator[None]:
    """A worker that is on the list, and alive for as long as the test takes: without one the service is not ready."""
    with shared.database.write() as session:
        workers.register(session, "wrk_listed", Identity("host", "boot", 1, 1.0), 1, None)
        session.execute(update(WorkerRow).values(heartbeat_at=CLOCK + 1e6))
    yield
    with shared.database.write() as session:
        workers.forget(session, "wrk_listed")


@pytest.mark.usefixtures("worker")
def test_requests_made_from_the_document_get_documented_answers(shared: Any) -> None:
    """Valid and invalid requests by the document: no server error, and nothing the document does not say."""
    schema = schemathesis.openapi.from_url(f"{shared.http.base_url}/openapi.json")
    chosen = schema.exclude(path_regex="/events$|/figures/|report")

    for result in chosen.get_all_operations():
        assert isinstance(result, Ok)
        _probe(result.ok().as_strategy())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/experiments",
        "/v1/experiments/{experiment_id}",
        "/v1/experiments/{experiment_id}/trials",
        "/v1/experiments/{experiment_id}/metrics",
        "/v1/experiments/{experiment_id}/comparison",
        "/v1/trials/{trial_id}",
    ],
)
def test_real_answers_match_the_document(shared: Any, path: str) -> None:
    experiment = shared.submit()
    shared.train(diverged=2)
    trial = shared.http.get(experiment["links"]["trials"]).json()["items"][2]["id"]
    schema = schemathesis.openapi.from_url(f"{shared.http.base_url}/openapi.json")
    ids = {"experiment_id": experiment["id"], "trial_id": trial}
    case = schema[path]["GET"].Case(path_parameters={name: ids[name] for name in ids if name in path})
    answer = case.call_and_validate(checks=CHECKS, timeout=PATIENCE)
    assert answer.status_code == 200


def _probe(strategy: Any) -> None:
    @given(case=strategy)
    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=cast("list[HealthCheck]", list(HealthCheck)),
    )
    def probe(case: Any) -> None:
        answer = case.call(timeout=PATIENCE)
        case.validate_response(answer, checks=CHECKS)

    probe()
