"""What the process measures about itself, in Prometheus's words."""

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from starlette.types import Scope

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

disable_created_metrics()  # a second series for each of the first, of use to nobody


class Telemetry:
    """One registry for each application, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "firstlight_http_requests", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "firstlight_http",
            "Time to answer a request, event streams excepted.",
            ("method", "route"),
            unit="seconds",
            registry=self.registry,
            buckets=BUCKETS,
        )
        self.wrong_keys = Counter(
            "firstlight_wrong_keys", "Requests with a key that opens nothing.", registry=self.registry
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request under its route's template, never under its path: ids would make endless series."""
        route = scope["state"].get("route_template", "unmatched")
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH") else "OTHER"
        self.requests.labels(method, route, str(status)).inc()
        if not route.endswith("/events"):
            self.seconds.labels(method, route).observe(seconds)
