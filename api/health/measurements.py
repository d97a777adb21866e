"""What `/metrics` shows: this process's own counters, what the database holds now, the disk, and workers' counters.

The workers are those that share the home folder with this process.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.experiments.population import Population
from services.measurements import totals


class Measurements(Collector):
    """One look at everything.

    Args:
        registry: this process's.
        population: what the database holds; None while it does not answer.
        streams: how many event streams are open here.
        home: the home folder; workers that share it have their counters there.
    """

    def __init__(self, registry: CollectorRegistry, population: Population | None, streams: int, home: Path) -> None:
        self._registry = registry
        self._population = population
        self._streams = streams
        self._home = home

    def collect(self) -> Iterable[Metric]:
        """All metrics, each once."""
        yield from self._registry.collect()
        yield _gauge("database_up", "Whether the database answers: 1 or 0.", float(self._population is not None))
        yield _gauge("event_streams", "Event streams that this process serves.", self._streams)
        if self._population is not None:
            yield from _counts(self._population)
        yield from _disk(self._home)
        yield from totals(self._home)


def _counts(population: Population) -> Iterator[Metric]:
    for name, counts in (
        ("experiments", population.experiments),
        ("cohorts", population.cohorts),
        ("trials", population.trials),
    ):
        family = GaugeMetricFamily(f"firstlight_{name}", f"Stored {name} by state.", labels=("state",))
        for state, count in sorted(counts.items()):
            family.add_metric((state,), count)
        yield family
    yield _gauge("workers", "Live workers that take work.", population.workers)
    yield _gauge(
        "workers_held", "Live workers that take no work because something is wrong; /readyz says what.", population.held
    )
    yield _gauge("slots", "Slots of the live workers that take work.", population.slots)
    yield _gauge("oldest_queued", "Age of the oldest cohort in the queue.", population.oldest_queued_seconds, "seconds")


def _disk(home: Path) -> Iterator[Metric]:
    try:
        usage = shutil.disk_usage(home)
    except OSError:
        return
    yield _gauge("home_free", "Room left on the disk of the home folder.", usage.free, "bytes")
    yield _gauge("home_size", "Size of the disk of the home folder.", usage.total, "bytes")


def _gauge(name: str, about: str, value: float, unit: str = "") -> Metric:
    return GaugeMetricFamily(f"firstlight_{name}", about, value=value, unit=unit)
