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
RENEWALS = ("renewed", "refused", "unanswered")
LOSSES = ("taken", "late")
EXPIRIES = ("silent", "dead")
"""Silent: the lease ran out. Dead: the process had ended, which a neighbour saw."""
WRITES = ("start", "epochs", "ending")
ATTEMPTS = ("done", "drained", "paused", "cancelled", "failed", "fenced", "returned")
"""As in the table of attempts; `fenced` where another worker has it, or may have it, which writes that row."""
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

        def counter(name: str, about: str, *labels: str, unit: str = "", values: Collection[str] = ()) -> Counter:
            made = Counter(f"firstlight_worker_{name}", about, labels, unit=unit, registry=self.registry)
            for value in values:
                made.labels(value)  # from nothing: what is rare would otherwise be seen at its second time only
            return made

        def histogram(name: str, about: str, *labels: str, unit: str, buckets: tuple[float, ...]) -> Histogram:
            full = f"firstlight_worker_{name}"
            return Histogram(full, about, labels, unit=unit, buckets=buckets, registry=self.registry)

        self.claim = histogram("claim", "Time of a transaction that took a cohort.", unit="seconds", buckets=SHORT)
        self.wait = histogram("queue_wait", "Time a cohort waited until its first claim.", unit="seconds", buckets=LONG)
        self.renewals = counter(
            "lease_renewals", "Renewals of leases, by what came of them.", "outcome", values=RENEWALS
        )
        self.fences = counter(
            "leases_lost",
            "Leases that were taken over by another worker, or not renewed in time.",
            "reason",
            values=LOSSES,
        )
        self.expiries = counter(
            "lease_expiries", "Cohorts taken back from workers that were silent or dead.", "reason", values=EXPIRIES
        )
        self.fenced = counter(
            "fenced_writes", "Writes refused because the attempt held its cohort no more.", "write", values=WRITES
        )
        self.attempts = counter("attempts", "Attempts ended, by their outcome.", "outcome", values=ATTEMPTS)
        self.attempt = histogram("attempt", "Time from claim to end of an attempt.", unit="seconds", buckets=LONG)
        self.failures = counter("failures", "Attempts that failed, by the code.", "code", values=(*CODES, OTHER))
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
