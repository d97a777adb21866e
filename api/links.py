"""OpenAPI links: where an id comes from, and what it can be given to.

A client that reads them walks from an answer to every operation about the thing in it; so does a test that draws its
requests from the document, which else would only ever ask for what does not exist.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """An answer that holds an id.

    Attributes:
        operation: method and path of the operation that answers so.
        status: of the answer.
        parameter: the path parameter that the id stands for.
        expression: where in the answer the id is.
        below: the operations whose path begins so take it.
    """

    operation: str
    status: str
    parameter: str
    expression: str
    below: str


FIRST = "$response.body#/items/0/"
SOURCES = (
    Source("post /v1/experiments", "202", "experiment_id", "$response.body#/id", "/v1/experiments/"),
    Source(
        "post /v1/experiments/{experiment_id}/clone", "202", "experiment_id", "$response.body#/id", "/v1/experiments/"
    ),
    Source("get /v1/experiments", "200", "experiment_id", FIRST + "id", "/v1/experiments/"),
    Source("get /v1/experiments/{experiment_id}/trials", "200", "trial_id", FIRST + "id", "/v1/trials/"),
    Source("post /v1/datasets", "201", "name", "$response.body#/name", "/v1/datasets/"),
    Source("post /v1/keys", "201", "key_id", "$response.body#/id", "/v1/keys/"),
    Source("post /v1/workspaces", "201", "workspace_id", "$response.body#/id", "/v1/workspaces/"),
    Source("get /v1/workspaces", "200", "workspace_id", FIRST + "id", "/v1/workspaces/"),
    Source("get /v1/presets", "200", "name", FIRST + "name", "/v1/presets/"),
    *(
        Source(f"get /v1/{family}", "200", "kind", FIRST + "kind", f"/v1/{family}/")
        for family in ("activations", "initializers", "optimizers", "models", "figures")
    ),
)
FIGURE = {"kind": "curves", "form": "svg"}
"""Parameters that no answer about an experiment holds: one of each sort."""
COMPARED = ("post /v1/comparisons", {"experiments": ["{$response.body#/id}"]})


def add_links(paths: dict[str, dict[str, Any]]) -> None:
    """Put a link to every operation that takes an id into the answers that hold one.

    Args:
        paths: of the document; changed in place.
    """
    operations = {
        f"{method} {path}": operation
        for path, item in paths.items()
        for method, operation in item.items()
        if "operationId" in operation
    }
    for source in SOURCES:
        answer = operations[source.operation]["responses"][source.status]
        answer["links"] = {**answer.get("links", {}), **dict(_links(source, operations))}


def _links(source: Source, operations: dict[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, operation in operations.items():
        if name.partition(" ")[2].startswith(source.below):
            own = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"]
            values = {**FIGURE, source.parameter: source.expression}
            parameters = {parameter: values[parameter] for parameter in own if parameter in values}
            if source.parameter in own:
                yield _name(operation), {"operationId": operation["operationId"], "parameters": parameters}
    target, body = COMPARED
    if source.parameter == "experiment_id" and source.expression == "$response.body#/id":
        yield _name(operations[target]), {"operationId": operations[target]["operationId"], "requestBody": body}


def _name(operation: dict[str, Any]) -> str:
    """The operation's sentence, in the characters that a link's name may have."""
    return "_".join(operation["summary"].lower().replace("'", "").split())
