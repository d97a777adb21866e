"""What workers have counted, as files of the home folder: an API that shares the folder shows the sum of all of them.

Each worker that runs holds one place of the folder. It goes on from what the worker before it at that place had
counted, so that a restart takes nothing away: the sum only grows, which a counter has to. What a killed worker counted
after its last writing is lost.
"""

import fcntl
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from pydantic import BaseModel, ValidationError

FOLDER = "measurements"
MOST_PLACES = 64
"""Workers of one home folder at once; what further ones count is not kept."""
MOST_BYTES = 1_000_000
"""A file is some ten thousand bytes: a larger one is none of ours."""
CUMULATIVE = ("counter", "histogram")
"""Kinds that can be summed up over workers and over time; nothing else is kept."""

Labels = tuple[tuple[str, str], ...]


class Sample(BaseModel):
    """One number; a histogram has several."""

    name: str
    labels: dict[str, str]
    value: float

    @property
    def key(self) -> tuple[str, Labels]:
        """What tells it from the others of its family."""
        return self.name, tuple(sorted(self.labels.items()))


class Family(BaseModel):
    """A metric with all its samples, in the order in which Prometheus wants them."""

    name: str
    help: str
    type: str
    unit: str
    samples: list[Sample]

    @property
    def bounds(self) -> list[str]:
        """The buckets of a histogram, as they are written. Samples over other buckets cannot be added."""
        return sorted({sample.labels["le"] for sample in self.samples if "le" in sample.labels})


class _File(BaseModel):
    families: list[Family]


class Place:
    """The file of one running worker.

    Args:
        home: the home folder.
        registry: what the worker counts, from nothing.

    Raises:
        OSError: no place is free, or the folder cannot be written or locked.
    """

    def __init__(self, home: Path, registry: CollectorRegistry) -> None:
        self._registry = registry
        folder = home / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, self._lock = _free_place(folder)
        before = _read(self._path)
        self._before = {} if before is None else {family.name: family for family in before.families}
        self._written = b""

    def write(self) -> None:
        """Bring the file up to date, if anything has been counted since.

        Raises:
            OSError: it cannot be written.
        """
        families = [_sum([family, *self._earlier(family)]) for family in _cumulative(self._registry)]
        content = orjson.dumps(_File(families=families).model_dump())
        if content == self._written:
            return
        temporary = self._path.with_suffix(".tmp")
        try:
            temporary.write_bytes(content)
            temporary.replace(self._path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        self._written = content

    def close(self) -> None:
        """Leave the place, with the file in it, to the next worker."""
        os.close(self._lock)

    def _earlier(self, family: Family) -> list[Family]:
        before = self._before.get(family.name)
        return [] if before is None else [before]


def totals(home: Path) -> list[Metric]:
    """What all workers of this home folder have counted, the ended ones too; files that cannot be read are left out."""
    members: dict[str, list[Family]] = {}
    for path in sorted((home / FOLDER).glob("*.json"), key=_written_at, reverse=True)[:MOST_PLACES]:
        content = _read(path)
        for family in [] if content is None else content.families:
            members.setdefault(family.name, []).append(family)
    return [_metric(_sum(members[name])) for name in sorted(members)]


def exposition(collector: Collector, accept: str) -> tuple[bytes, str]:
    """Metrics as text, and its media type: OpenMetrics, which has units, where `accept` names it, else Prometheus's."""
    if openmetrics.CONTENT_TYPE_LATEST.partition(";")[0] in accept:
        return openmetrics.generate_latest(collector), openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(collector), CONTENT_TYPE_PLAIN_0_0_4


def _free_place(folder: Path) -> tuple[Path, int]:
    for number in range(MOST_PLACES):
        path = folder / f"{number}.json"
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        except OSError:
            os.close(lock)
            raise
        else:
            return path, lock
    message = f"all {MOST_PLACES} places of {folder} are taken"
    raise OSError(message)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> _File | None:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        return None if len(content) > MOST_BYTES else _File.model_validate(orjson.loads(content))
    except (OSError, orjson.JSONDecodeError, ValidationError):
        return None


def _cumulative(registry: CollectorRegistry) -> Iterable[Family]:
    for metric in registry.collect():
        if metric.type in CUMULATIVE:
            samples = [
                Sample(name=sample.name, labels=sample.labels, value=sample.value)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ]
            yield Family(
                name=metric.name, help=metric.documentation, type=metric.type, unit=metric.unit, samples=samples
            )


def _sum(families: Sequence[Family]) -> Family:
    """The first with all others added that have the same type and buckets (or no samples, and so no buckets)."""
    first = families[0]
    reference = next((family.bounds for family in families if family.bounds), [])
    samples: dict[tuple[str, Labels], Sample] = {}
    for family in families:
        if family.type != first.type or (family.bounds and family.bounds != reference):
            continue
        for sample in family.samples:
            if (present := samples.get(sample.key)) is None:
                samples[sample.key] = sample.model_copy()
            else:
                present.value += sample.value
    return first.model_copy(update={"samples": list(samples.values())})


def _metric(family: Family) -> Metric:
    metric: Any = Metric(family.name, family.help, family.type, family.unit)
    for sample in family.samples:
        metric.add_sample(sample.name, sample.labels, sample.value)
    return metric
