"""A whole study through the service, from the request to the last row, in turns with the engine alone."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.race import Entry, Process
from bench.workload import DIAMONDS
from firstlight.client import Client
from firstlight.process import Service
from services.science.datasets import ensure
from services.science.spec import ExperimentSpec
from services.settings import get_settings

STUDY: dict[str, Any] = {
    "dataset": "diamonds",
    "model": {"kind": "mlp", "hidden": [50, 50]},
    "activation": ["relu", "tanh", "sigmoid"],
    "initializer": ["he_uniform", "glorot_uniform", "random_uniform", "random_normal"],
    "batch_size": 32,
    "epochs": 10,
    "seeds": 5,
}
SMALL: dict[str, Any] = {
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": "he_uniform",
    "epochs": 3,
    "seeds": 3,
}
REST_SECONDS = 4.0
"""Between two submissions: the next child imports what it needs meanwhile."""


@dataclass
class Passage:
    """Seconds, submission by submission.

    Attributes:
        total: from the request to the answer that all rows are stored.
        first: from the request to the first epoch row.
        epochs: of that, what the child says that training and evaluation took.
        cpu: processor time of API, worker and child from the request to the end.
    """

    total: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass
class ServiceResult:
    """The studies' times, alone and through the service, without and with layer diagnostics.

    `keras` has the seconds of one network of the study by Keras, `keras_name` says how it was run.
    """

    alone: dict[str, list[float]]
    alone_cpu: dict[str, list[float]]
    served: dict[str, Passage]
    small: Passage
    child_peak_bytes: int
    keras: list[float] = field(default_factory=list)
    keras_name: str = ""

    def overhead(self, kind: str) -> tuple[float, float, float]:
        """What the service takes beyond the engine alone, as a share, turn by turn: least, median, most."""
        pairs = zip(self.served[kind].total, self.alone[kind], strict=True)
        shares = [served / alone - 1.0 for served, alone in pairs]
        return min(shares), statistics.median(shares), max(shares)


def fetch() -> Path:
    """See that the study's data are at hand; returns their folder."""
    data_dir = get_settings().data_path
    ensure(ExperimentSpec.model_validate(STUDY).dataset, data_dir, download=True)
    return data_dir


def measure(rounds: int, keras: Entry | None = None) -> ServiceResult:
    """Take turns: engine alone and service, without and with layer diagnostics; a small experiment; one Keras run."""
    data_dir = fetch()
    specs = {"plain": {**STUDY, "diagnostics": None}, "diagnosed": STUDY}
    alone: dict[str, list[float]] = {kind: [] for kind in specs}
    alone_cpu: dict[str, list[float]] = {kind: [] for kind in specs}
    served = {kind: Passage() for kind in specs}
    small = Passage()
    peak = 0
    single: list[float] = []
    with tempfile.TemporaryDirectory(prefix="firstlight-bench-") as home, _service(Path(home), data_dir) as running:
        client, parts = running
        processes = {
            kind: Process(kind, "own_study", DIAMONDS, {"spec": spec, "data_dir": str(data_dir)}, sys.executable)
            for kind, spec in specs.items()
        }
        if keras is not None:
            processes["keras"] = Process(keras.name, keras.module, DIAMONDS, keras.options, keras.python)
        try:
            for _ in range(rounds):
                for kind, spec in specs.items():
                    turn = processes[kind].turn()
                    alone[kind].append(turn["wall"])
                    alone_cpu[kind].append(turn["cpu"])
                    time.sleep(REST_SECONDS)
                    peak = max(peak, _submit(client, parts, spec, served[kind]))
                time.sleep(REST_SECONDS)
                _submit(client, parts, SMALL, small)
                if keras is not None:
                    single.append(processes["keras"].turn()["wall"])
                time.sleep(REST_SECONDS)
        finally:
            for process in processes.values():
                process.close()
    return ServiceResult(alone, alone_cpu, served, small, peak, single, "" if keras is None else keras.name)


@contextmanager
def _service(home: Path, data_dir: Path) -> Iterator[tuple[Client, dict[str, psutil.Process]]]:
    os.environ["FIRSTLIGHT_DATA_DIR"] = str(data_dir)
    os.environ["FIRSTLIGHT_CALIBRATE"] = "false"  # a worker that measures its machine would measure ours too
    with (home / "log").open("wb") as log, Service(home / "home", port=0, log=log) as service:
        time.sleep(2 * REST_SECONDS)
        by_argument = {name: process for process in psutil.Process().children() for name in process.cmdline()}
        parts = {name: by_argument[name] for name in ("api", "worker")}
        with Client(service.url) as client:
            yield client, parts


def _submit(client: Client, parts: dict[str, psutil.Process], spec: Mapping[str, Any], passage: Passage) -> int:
    """Submit, follow the events to the end, and return the child's peak memory."""
    children = parts["worker"].children()
    # What a child used before the request is counted when it has been waited for, so it is taken off beforehand.
    used = -_cpu(parts) - sum(sum(child.cpu_times()[:2]) for child in children)
    began = time.perf_counter()
    experiment = client.submit(spec)
    first: float | None = None
    peak = 0
    for event in client.events(experiment["id"]):
        if event["event"] == "epoch":
            first = first or time.perf_counter() - began
            peak = max([peak, *(_peak(child) for child in children)])
    passage.total.append(time.perf_counter() - began)
    passage.first.append(first or passage.total[-1])
    time.sleep(0.5)
    passage.cpu.append(used + _cpu(parts))
    final = client.experiment(experiment["id"])
    if final["state"] != "succeeded":
        raise RuntimeError(f"the experiment is {final['state']}: {final['error']}")
    rows = client.metrics(experiment["id"], trial=next(client.trials(experiment["id"]))["id"])
    passage.epochs.append(sum(row["seconds"] for row in rows))
    return peak


def _cpu(parts: dict[str, psutil.Process]) -> float:
    """Processor seconds of these processes and of all children they have waited for."""
    return sum(sum(process.cpu_times()[:4]) for process in parts.values())


def _peak(process: psutil.Process) -> int:
    try:
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    except OSError:
        return 0
    peaks = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peaks[0].split()[1]) * 1024 if peaks else 0
