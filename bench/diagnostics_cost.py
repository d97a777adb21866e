"""What layer diagnostics cost: the training process with the default schedule and with none, in turns."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.race import CORES, ROOT, ContenderError
from bench.whole_service import STUDY
from services.science.grid import expand
from services.science.spec import ExperimentSpec
from services.settings import get_settings
from services.training.energy import WATTS_PER_CORE

STUDIES: dict[str, dict[str, Any]] = {
    "diamonds, 6-50-50-1, batch 32, 10 epochs": STUDY,
    "the same, 30 epochs": {**STUDY, "epochs": 30},
    "the same, batch 256, 10 epochs": {**STUDY, "batch_size": 256},
    "digits (1,437 training rows), 30 hidden layers of 32, batch 32, 10 epochs": {
        **STUDY,
        "dataset": "digits",
        "model": {"kind": "deep_mlp", "depth": 30, "width": 32},
    },
}
"""Sixty trials each."""


@dataclass
class Cost:
    """Processor and wall seconds of one study, turn by turn."""

    study: str
    cpu: dict[str, list[float]] = field(default_factory=lambda: {"none": [], "default": []})
    wall: dict[str, list[float]] = field(default_factory=lambda: {"none": [], "default": []})

    def share(self, seconds: Mapping[str, list[float]]) -> tuple[float, float, float]:
        """What diagnostics take beyond the study without, turn by turn: median, least, most."""
        shares = [more / less - 1.0 for more, less in zip(seconds["default"], seconds["none"], strict=True)]
        return statistics.median(shares), min(shares), max(shares)


def measure(rounds: int) -> list[Cost]:
    """Train every study `rounds` times with and without, each in a process of its own, the order changing."""
    costs = [Cost(study) for study in STUDIES]
    for cost in costs:
        specs = {"none": {**STUDIES[cost.study], "diagnostics": None}, "default": STUDIES[cost.study]}
        for spec in specs.values():
            _train({**spec, "epochs": 1})  # compiles and reads the data once
        for turn in range(rounds):
            for kind in sorted(specs, reverse=turn % 2 == 0):
                cpu, wall = _train(specs[kind])
                cost.cpu[kind].append(cpu)
                cost.wall[kind].append(wall)
    return costs


def _train(document: Mapping[str, Any]) -> tuple[float, float]:
    """Processor seconds of a training process from its being ready to its end, and wall seconds to its last message."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "services.training.child"]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
        )
        assert child.stdin is not None
        assert child.stdout is not None
        json.loads(child.stdout.readline())
        used, began = _used(child.pid), time.perf_counter()
        last = _start(document, folder)
        child.stdin.write(json.dumps(last).encode() + b"\n")
        child.stdin.flush()
        for line in child.stdout:
            last = json.loads(line)
            ack = {"type": "ack", "epoch": last.get("to", -1)}
            if last["type"] == "checkpoint":
                ack |= {"epoch": last["file"]["epoch"], "checkpoint": last["file"]["path"]}
            if last["type"] in {"epochs", "checkpoint"}:
                child.stdin.write(json.dumps(ack).encode() + b"\n")
                child.stdin.flush()
        wall = time.perf_counter() - began
        _, _, usage = os.wait4(child.pid, 0)
        child.returncode = 0
        child.stdin.close()
        child.stdout.close()
    if last["type"] != "done":
        raise ContenderError(f"the training process ended with {last}")
    return usage.ru_utime + usage.ru_stime - used, wall


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start(document: Mapping[str, Any], folder: str) -> dict[str, Any]:
    spec = ExperimentSpec.model_validate(document).resolved()
    grid = expand(spec)
    trials = [
        {"slot": slot, "arm": grid.arms[trial.arm_index].model_dump(mode="json"), "seed": trial.seed}
        for slot, trial in enumerate(grid.trials)
    ]
    return {
        "type": "start",
        "spec": spec.canonical(),
        "trials": trials,
        "resume": None,
        "report_after": -1,
        "checkpoint_dir": folder,
        "checkpoint_seconds": 3600,
        "data_dir": str(get_settings().data_path),
        "device": "cpu",
        "threads": len(CORES),
        "engine": "auto",
        "watts_per_core": WATTS_PER_CORE,
    }
