"""Contenders take turns, round by round, so that whatever else the machine does weighs on all of them alike."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.workload import Workload

ROOT = Path(__file__).resolve().parents[1]
CORES = sorted(os.sched_getaffinity(0))


class ContenderError(RuntimeError):
    """A contender ended or did not answer."""


class Process:
    """One contender's process, or several pinned to a core each, that share a workload's trials."""

    def __init__(self, name: str, module: str, workload: Workload, options: Mapping[str, Any], python: str) -> None:
        self.name = name
        self._members: list[subprocess.Popen[str]] = []
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        pinned = bool(options.get("pinned"))
        for place, core in enumerate(CORES if pinned else CORES[:1]):
            shares = len(CORES) if pinned else 1
            share = workload.with_trials(len(range(place, workload.trials, shares)))
            command = [python, "-m", f"bench.contenders.{module}", json.dumps(share.document()), json.dumps(options)]
            prefix = ["taskset", "-c", str(core)] if pinned else []
            process = subprocess.Popen(
                [*prefix, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                cwd=ROOT,
                env=_environment(1 if pinned else len(CORES)),
            )
            self._members.append(process)
        ready = [self._hear(member) for member in self._members]
        self.steps = int(ready[0]["steps"])
        self.trials = sum(int(message["trials"]) for message in ready)
        if len({message["steps"] for message in ready}) > 1:
            raise ContenderError(f"{name}: the processes chose different numbers of steps")

    def turn(self) -> dict[str, float]:
        """Wall and CPU seconds of one turn and the most memory so far, over all its processes."""
        for member in self._members:
            assert member.stdin is not None
            member.stdin.write("go\n")
            member.stdin.flush()
        messages = [self._hear(member) for member in self._members]
        return {
            "wall": max(message["wall"] for message in messages),
            "cpu": sum(message["cpu"] for message in messages),
            "peak_bytes": sum(message["peak_bytes"] for message in messages),
        }

    def close(self) -> None:
        """End it."""
        for member in self._members:
            member.kill()
            member.wait()
            for pipe in (member.stdin, member.stdout):
                if pipe is not None:
                    pipe.close()
        self._log.close()

    def _hear(self, member: subprocess.Popen[str]) -> dict[str, Any]:
        assert member.stdout is not None
        line = member.stdout.readline()
        if not line:
            status = member.wait()
            self._log.seek(0)
            raise ContenderError(f"{self.name} ended with status {status}:\n{self._log.read()[-2000:]}")
        return json.loads(line)


def _environment(threads: int) -> dict[str, str]:
    count = str(threads)
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
    # The first two are what the worker gives its children; loops of one thread do not notice them.
    own = {"OMP_WAIT_POLICY": "PASSIVE", "MALLOC_ARENA_MAX": "1", "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax"}
    return {**os.environ, **counts, **own}


@dataclass
class Result:
    """What one contender took, in microseconds per trial and step, round by round.

    `cpu` is CPU time over cores: what a step would take if all cores were free and fully used.
    """

    name: str
    trials: int
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_bytes: float = 0.0

    @property
    def median(self) -> float:
        """Of the wall times."""
        return statistics.median(self.wall)

    def times(self, other: "Result") -> tuple[float, float, float]:
        """How many times this one's wall time is of another's, round by round: least, median, most."""
        ratios = [mine / theirs for mine, theirs in zip(self.wall, other.wall, strict=True)]
        return min(ratios), statistics.median(ratios), max(ratios)


@dataclass(frozen=True)
class Entry:
    """A contender to be started: its module in bench.contenders, its options and its Python."""

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    python: str = sys.executable


def race(entries: Sequence[Entry], workload: Workload, rounds: int) -> list[Result]:
    """Start all, then let each take its turn in every round."""
    processes: list[Process] = []
    try:
        for entry in entries:
            processes.append(Process(entry.name, entry.module, workload, entry.options, entry.python))  # noqa: PERF401
        results = [Result(process.name, process.trials) for process in processes]
        for _ in range(rounds):
            for process, result in zip(processes, results, strict=True):
                turn = process.turn()
                unit = 1e6 / process.steps / process.trials
                result.wall.append(turn["wall"] * unit)
                result.cpu.append(turn["cpu"] * unit / len(CORES))
                result.peak_bytes = turn["peak_bytes"]
        return results
    finally:
        for process in processes:
            process.close()
