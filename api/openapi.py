"""The OpenAPI document: FastAPI's own, with our problems in place of its errors, and the key when one is set."""

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.documentation import problem_response
from api.links import add_links
from api.problems import Problem, ProblemField
from api.scopes import SCOPES, Need
from services.science.spec import ExperimentSpec

SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of `/v1/keys`, or one that the operator has set. Each operation names the scope it needs: "
    "`read`, `write` or `admin`; a key may do what those before its scope may. A key opens one workspace.",
}
METHODS = ("get", "put", "post", "delete", "patch")
DESCRIPTION = """\
Which activation and which weight initializer, for this data and this network, and how sure are we?

Post an experiment spec; the service expands it to a grid of trials over shared seeds, trains the grid as a few tensor
programs, keeps every epoch, and answers with a comparison that carries confidence intervals and a plain sentence.

Errors are `application/problem+json` (RFC 9457). Times are RFC 3339 in UTC. Ids are opaque. Lists are pages of `items`
with a `next_cursor`. Numbers that are not finite are `null`; a trial's `diverged` says since when.
"""


def install(app: FastAPI, *, secured: Callable[[], bool]) -> None:
    """Make the application describe itself this way.

    Args:
        app: which.
        secured: whether a key is asked for; from its first key on, a service asks for one.
    """
    documents: dict[bool, dict[str, Any]] = {}

    def document() -> dict[str, Any]:
        asks = secured()
        if asks not in documents:
            documents[asks] = _document(app, secured=asks)
        return documents[asks]

    app.openapi = document


def _document(app: FastAPI, *, secured: bool) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, openapi_version="3.1.0"
    )
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for model in (Problem, ProblemField):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    spec = ExperimentSpec.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(spec.pop("$defs", {}))
    schemas["ExperimentSpec"] = spec
    submit = document["paths"]["/v1/experiments"]["post"]["requestBody"]["content"]["application/json"]
    submit["schema"] = {"$ref": "#/components/schemas/ExperimentSpec"}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method in METHODS:
                need = SCOPES[f"{method.upper()} {path}"]
                _complete(operation, need, secured=secured)
                if not secured:
                    _add(operation, (421,) if method == "get" else (403, 421))
    add_links(document["paths"])
    if secured:
        components["securitySchemes"] = {"key": SECURITY_SCHEME}
    return document


def _complete(operation: dict[str, Any], need: Need, *, secured: bool) -> None:
    """Add the problems that every operation of its sort may answer with."""
    statuses = [400, 408, 431, 500, 503]
    if "requestBody" in operation:
        statuses += [413, 415, 422]
    if operation.get("parameters"):
        statuses.append(422)
    if need.limited:
        statuses.append(429)
    if secured and need.scope is not None:
        statuses += [401, 403, 429]
        operation["security"] = [{"key": [need.scope]}]
    _add(operation, statuses)


def _add(operation: dict[str, Any], statuses: Iterable[int]) -> None:
    responses = operation["responses"]
    for status in statuses:
        response = responses.get(str(status))
        if response is None or "HTTPValidationError" in str(response):
            responses[str(status)] = problem_response(status)
    operation["responses"] = dict(sorted(responses.items()))
