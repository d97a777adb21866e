"""Every metric that the service can show, with all samples that it can have: from the registries of API and worker."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from api.health.measurements import Measurements
from api.telemetry import Telemetry as ApiTelemetry
from services.experiments.population import Population
from services.measurements import Place, exposition
from worker.telemetry import Telemetry as WorkerTelemetry

POPULATION = Population(
    experiments={"queued": 1},
    cohorts={"queued": 1},
    trials={"queued": 1},
    workers=1,
    slots=1,
    held=0,
    problem=None,
    oldest_queued_seconds=0.0,
)


def api(home: Path) -> Collector:
    """What `/metrics` shows of an API that shares its home with a worker, each metric with one sample at least."""
    worker = WorkerTelemetry()
    touch(worker)
    place = Place(home, worker.registry)
    place.write()
    place.close()
    telemetry = ApiTelemetry()
    touch(telemetry)
    return Measurements(telemetry.registry, POPULATION, 0, home)


def touch(telemetry: ApiTelemetry | WorkerTelemetry) -> None:
    """Give every metric that has labels a sample: without one there is nothing to see of it."""
    for metric in vars(telemetry).values():
        if names := getattr(metric, "_labelnames", ()):
            metric.labels(*("x" for _ in names))


def families(collector: Collector) -> Iterator[Metric]:
    """Read back as Prometheus reads them."""
    yield from text_string_to_metric_families(exposition(collector, "application/openmetrics-text")[0].decode())
