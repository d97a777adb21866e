"""The document describes what the service does: structure, examples, links. `tests/fuzz` draws requests from it."""

from typing import Any

import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.workers import PATIENCE

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
METHODS = {"get", "post", "delete", "put", "patch"}


@pytest.fixture(scope="module")
def document(shared: Any) -> dict[str, Any]:
    return shared.http.get("/openapi.json").json()


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
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

    targets = {reference.rsplit("/", 1)[1] for reference in references(document)}
    assert targets <= names


def test_every_operation_with_an_address_to_fill_in_may_find_it_unreadable(document: dict[str, Any]) -> None:
    """Drawn requests seldom hold the NUL character that is answered with 400."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if operation.get("parameters"):
                assert "400" in operation["responses"], (method, path)


def test_a_link_leads_to_every_operation_that_takes_an_id(shared: Any, document: dict[str, Any]) -> None:
    """And what it takes from an answer is there: else a client would follow it to nowhere."""
    by_id = {operation["operationId"]: (path, operation) for path, _, operation in operations(document)}
    reached: set[str] = set()
    for path, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            for link in answer.get("links", {}).values():
                target, linked = by_id[link["operationId"]]
                names = {parameter["name"] for parameter in linked.get("parameters", []) if parameter["in"] == "path"}
                assert set(link.get("parameters", {})) == names, (path, status, target)
                reached.add(target)
    assert {path for path in document["paths"] if "{" in path} <= reached
    assert "/v1/comparisons" in reached

    experiment = shared.submit()
    links = document["paths"]["/v1/experiments"]["post"]["responses"]["202"]["links"]
    figure = links["draw_a_figure_of_an_experiment"]["parameters"]
    assert figure["experiment_id"] == "$response.body#/id"
    shared.train()
    path = by_id[links["draw_a_figure_of_an_experiment"]["operationId"]][0]
    assert shared.http.get(path.format(**{**figure, "experiment_id": experiment["id"]})).status_code == 200


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
