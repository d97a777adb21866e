"""What each route asks of a key, declared at this one place. A route that is not here is not served."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route, compile_path

from services.accounts.principal import Principal
from services.db.tables import Scope


@dataclass(frozen=True)
class Need:
    """What a route asks for.

    Attributes:
        scope: the least that the key may do; None: no key is asked for.
        service: whether it is about the service as a whole, which only keys of the default workspace may ask about.
        limited: whether requests count towards the rate limit.
    """

    scope: Scope | None
    service: bool = False
    limited: bool = True

    def met_by(self, principal: Principal) -> bool:
        """Whether this key may."""
        if self.scope is None:
            return True
        return principal.may(self.scope) and (not self.service or principal.of_the_service)

    def in_words(self) -> str:
        """What is needed, for a problem's detail."""
        return f"the scope {self.scope}{' in the workspace default' if self.service else ''}"


OPEN = Need(None, limited=False)
READ, WRITE, ADMIN = Need("read"), Need("write"), Need("admin")
STREAM = Need("read", limited=False)

SCOPES: Mapping[str, Need] = {
    # What tells nothing of anybody's work.
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /docs": OPEN,
    "GET /docs/{name}": OPEN,
    "GET /openapi.json": OPEN,
    "GET /metrics": Need("read", service=True, limited=False),
    "GET /": READ,
    "POST /v1/experiments": WRITE,
    "GET /v1/experiments": READ,
    "GET /v1/experiments/{experiment_id}": READ,
    "DELETE /v1/experiments/{experiment_id}": WRITE,
    "POST /v1/experiments/{experiment_id}/clone": WRITE,
    "POST /v1/experiments/{experiment_id}/cancel": WRITE,
    "POST /v1/experiments/{experiment_id}/pause": WRITE,
    "POST /v1/experiments/{experiment_id}/resume": WRITE,
    "POST /v1/experiments/{experiment_id}/retry": WRITE,
    "GET /v1/experiments/{experiment_id}/events": STREAM,
    "GET /v1/experiments/{experiment_id}/trials": READ,
    "GET /v1/trials/{trial_id}": READ,
    "GET /v1/experiments/{experiment_id}/metrics": READ,
    "GET /v1/experiments/{experiment_id}/diagnostics": READ,
    "GET /v1/experiments/{experiment_id}/comparison": READ,
    "GET /v1/experiments/{experiment_id}/claims": READ,
    "GET /v1/experiments/{experiment_id}/predictions": READ,
    "GET /v1/experiments/{experiment_id}/figures/{kind}.{form}": READ,
    "GET /v1/experiments/{experiment_id}/report.html": READ,
    # These compute an answer from what the key may read, and store nothing.
    "POST /v1/comparisons": READ,
    "POST /v1/predictions": READ,
    "POST /v1/initializers/{kind}/sample": READ,
    "GET /v1/predictions/scorecard": READ,
    "GET /v1/recommendations": READ,
    "GET /v1/datasets": READ,
    "POST /v1/datasets": WRITE,
    "GET /v1/datasets/{name}": READ,
    "DELETE /v1/datasets/{name}": WRITE,
    "GET /v1/activations": READ,
    "GET /v1/activations/{kind}": READ,
    "GET /v1/initializers": READ,
    "GET /v1/initializers/{kind}": READ,
    "GET /v1/optimizers": READ,
    "GET /v1/optimizers/{kind}": READ,
    "GET /v1/models": READ,
    "GET /v1/models/{kind}": READ,
    "GET /v1/presets": READ,
    "GET /v1/presets/{name}": READ,
    "GET /v1/figures": READ,
    "GET /v1/figures/{kind}": READ,
    "POST /v1/keys": ADMIN,
    "GET /v1/keys": ADMIN,
    "GET /v1/keys/{key_id}": ADMIN,
    "DELETE /v1/keys/{key_id}": ADMIN,
    "POST /v1/workspaces": Need("admin", service=True),
    "GET /v1/workspaces": READ,
    "GET /v1/workspaces/{workspace_id}": READ,
    "GET /v1/audit": ADMIN,
}
"""By method and path, as the route has it; HEAD goes with GET."""


@dataclass(frozen=True)
class Matched:
    """The declared route that a request is for, with the values in its path."""

    route: str
    need: Need
    values: Mapping[str, Any]


class ScopeTable:
    """Finds the declared route of a request, before anything else is done for it."""

    def __init__(self, table: Mapping[str, Need] = SCOPES) -> None:
        self._plain: dict[str, Need] = {}
        self._patterns: dict[str, list[tuple[Any, str, Need]]] = {}
        for route, need in table.items():
            method, path = route.split(" ")
            if "{" in path:
                self._patterns.setdefault(method, []).append((compile_path(path)[0], route, need))
            else:
                self._plain[route] = need

    def match(self, method: str, path: str) -> Matched | None:
        """The route of this method and path; None where there is none, and the answer will be 404 or 405."""
        method = "GET" if method == "HEAD" else method
        route = f"{method} {path}"
        if (need := self._plain.get(route)) is not None:
            return Matched(route, need, {})
        for pattern, declared, need in self._patterns.get(method, ()):
            if (matched := pattern.match(path)) is not None:
                return Matched(declared, need, matched.groupdict())
        return None

    def is_open(self, path: str) -> bool:
        """Whether what is served at this path asks for no key."""
        matched = self.match("GET", path)
        return matched is not None and matched.need.scope is None


def check_declared(routes: Iterable[object], table: Mapping[str, Need] = SCOPES) -> None:
    """Compare the table with what is served.

    Raises:
        RuntimeError: a route without a scope, or a scope without a route.
    """
    served = {
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or ())
        if method != "HEAD"
    }
    wrong = {
        "without a scope": served - table.keys(),
        "declared and not served": table.keys() - served,
    }
    if any(wrong.values()):
        differences = "; ".join(f"{what}: {', '.join(sorted(names))}" for what, names in wrong.items() if names)
        raise RuntimeError(f"api/scopes.py and the routes differ: {differences}")
