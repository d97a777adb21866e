"""What a worker counts and times, in Prometheus's words. Every label has few values: none is an id or a text."""

from collections.abc import Collection
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from services.child_protocol import FailureCode
from services.cohorts.failure import HOPELESS

disable_created_metrics()  # a second series for each of the first, of use to nobody

OTHER = "other"
"""Stands for a word of a child that is not one of those below."""
DEVICES = ("cpu", "cuda")
ENGINES = ("native", "eager")
METHODS = ("cpu_time_estimate", "rapl_measured", "nvml_measured")
CODES = (*get_args(FailureCode), *HOPELESS, "crash", "hung", "protocol")
OUTCOMES = {"succeeded": "done", "queued": "drained"}
"""What becomes of a cohort whose attempt did not fail, as the outcome of the attempt where it has another name."""

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of a transaction."""
MEDIUM = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1_800.0)
"""Seconds of an epoch: of a tiny network tens of microseconds, of a large one minutes."""
LONG = (0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
"""Seconds of what can take a day: waiting for a turn, an attempt."""
SIZES = tuple(float(10**power) for power in range(3, 11))
"""Bytes of a checkpoint, a kilobyte to ten gigabytes."""


def bounded(word: object, words: Collection[str]) -> str:
    """The word if it is one of those expected, else `OTHER`: a label must not take what a child makes up."""
    return word if isinstance(word, str) and word in words else OTHER


class Telemetry:
    """One registry for each worker, so that two in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, about: str, *labels: str, unit: str = "") -> Counter:
            return Counter(f"firstlight_worker_{name}", about, labels, unit=unit, registry=self.registry)

        def histogram(name: str, about: str, *labels: str, unit: str, buckets: tuple[float, ...]) -> Histogram:
            full = f"firstlight_worker_{name}"
            return Histogram(full, about, labels, unit=unit, buckets=buckets, registry=self.registry)

        self.claim = histogram("claim", "Time of a transaction that took a cohort.", unit="seconds", buckets=SHORT)
        self.wait = histogram("queue_wait", "Time a cohort waited until its first claim.", unit="seconds", buckets=LONG)
        self.renewals = counter(
            "lease_renewals", "Renewals of leases: renewed, refused (taken over), unanswered.", "outcome"
        )
        self.fences = counter(
            "leases_lost", "Leases this worker gave up: taken (by another), late (not renewed in time).", "reason"
        )
        self.expiries = counter(
            "lease_expiries",
            "Cohorts taken back from other workers: silent (lease ran out), dead (process ended).",
            "reason",
        )
        self.fenced = counter("fenced_writes", "Writes refused because the attempt held its cohort no more.", "write")
        self.attempts = counter(
            "attempts", "Attempts ended: done, drained, paused, cancelled, failed, fenced, returned.", "outcome"
        )
        self.attempt = histogram("attempt", "Time from claim to end of an attempt.", unit="seconds", buckets=LONG)
        self.failures = counter("failures", "Attempts that failed, by the code of the failure.", "code")
        self.start = histogram(
            "child_start",
            "Time from the start message to the first batch: data, weights.",
            unit="seconds",
            buckets=LONG,
        )
        self.epochs = counter("epochs", "Epochs stored, each of a whole cohort.", "device", "engine")
        self.trial_epochs = counter("trial_epochs", "Epochs stored, counted for every trial.", "device", "engine")
        self.epoch = histogram(
            "epoch", "Time to train a cohort for one epoch.", "device", "engine", unit="seconds", buckets=MEDIUM
        )
        self.commit = histogram("commit", "Time to store one report of a child.", unit="seconds", buckets=SHORT)
        self.energy = counter(
            "energy", "Energy of the training, by how it was found.", "device", "method", unit="joules"
        )
        self.checkpoint_seconds = histogram(
            "checkpoint", "Time to write one checkpoint.", unit="seconds", buckets=(*SHORT, 60.0)
        )
        self.checkpoint_bytes = histogram("checkpoint", "Size of one checkpoint.", unit="bytes", buckets=SIZES)
