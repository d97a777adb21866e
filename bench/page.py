"""The page docs/benchmarks.md, from what was measured."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.race import CORES, Result
from bench.service import ServiceResult
from bench.workload import Workload

OURS = "Firstlight, kernel"


@dataclass
class Findings:
    """All that one run measured."""

    races: list[tuple[Workload, list[Result]]] = field(default_factory=list)
    sweep: list[Result] = field(default_factory=list)
    service: ServiceResult | None = None
    peers: bool = False
    loads: list[float] = field(default_factory=list)


def page(findings: Findings) -> str:
    """Markdown."""
    parts = [HEAD, _machine(findings)]
    parts += [_race(workload, results) for workload, results in findings.races]
    if findings.sweep:
        parts.append(_sweep(findings.sweep))
    if findings.service is not None:
        parts.append(_service(findings.service))
    parts.append(HOW + (PEERS if findings.peers else ""))
    return "\n".join(parts)


HEAD = """# Benchmarks

Written by `make bench` (this project and PyTorch) or `make bench-peers` (also JAX and Keras, in an environment of their
own under `var/peers`). `python -m bench --full` takes longer and measures every contender at every width.
"""

HOW = """## How it is measured

Each contender is a process of its own that trains the same network on rows of the same shape: relu, plain gradient
descent, 32-bit floats, every trial in its own row order. In each round every contender takes one turn of about half a
second, so that other work on the machine weighs on all alike. *Wall* is the time that passed, per trial and step:
median, and least to most in brackets. *CPU / cores* is the least processor time over the number of cores: what a step
would take on a machine that is otherwise idle if all cores were used to the full; a contender that cannot use them all
takes longer than that. *Times slower* is taken within each round, against the kernel's turn in the same round, and is
the median of the rounds. Starting, compiling and evaluating are left out, except where a whole study is timed.
"""

PEERS = """
Keras runs `fit` on its jax backend, because TensorFlow's wheel is several times larger; it trains one network at a
time, as PyTorch's loop does. JAX is given both of its forms, one program for all trials (`vmap`) and a compiled epoch
mapped over them (`scan`), each in one process on all cores and in one pinned process per core.
"""


def _machine(findings: Findings) -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    low, high = min(findings.loads), max(findings.loads)
    load = f"load average {low:.1f} to {high:.1f} during the run, of which the contenders make up to {len(CORES)}"
    shared = " The machine was shared with other work: wall times are longer than on an idle one."
    busy = shared if high > 1.5 * len(CORES) else ""
    return f"Machine: {model}, {len(CORES)} cores, {platform.system()}; {load}.{busy}\n"


def _race(workload: Workload, results: Sequence[Result]) -> str:
    ours = next(result for result in results if result.name == OURS)
    ceiling = next((result for result in results if result.name == "matrix product"), None)
    lines = [
        f"## {workload.title[0].upper()}{workload.title[1:]}\n",
        "| contender | trials at once | wall, µs per trial and step | CPU / cores, µs | times slower | peak MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        if result is not ceiling:
            low, ratio, high = result.times(ours)
            slower = "1" if result is ours else f"{ratio:.1f} ({low:.1f} to {high:.1f})"
            lines.append(
                f"| {result.name} | {result.trials} | {_span(result.wall)} | {min(result.cpu):.2f} | {slower} "
                f"| {result.peak_bytes / 2**20:.0f} |"
            )
    lines.append("")
    if ceiling is not None:
        flops = 2 * 1024**3
        most, reached = flops / min(ceiling.cpu) / 1e3, workload.flops / min(ours.cpu) / 1e3
        lines.append(
            f"The kernel does {workload.flops:,} operations per trial and step: {reached:.0f} GFLOP/s of CPU time on "
            f"all cores, {100 * reached / most:.0f} % of the {most:.0f} GFLOP/s of a large matrix product measured in "
            "turns with it.\n"
        )
    return "\n".join(lines)


def _sweep(results: Sequence[Result]) -> str:
    widths = sorted({result.trials for result in results})
    names = list(dict.fromkeys(result.name for result in results))
    lines = [
        "## Cost against width\n",
        "Microseconds per trial and step (wall, least of the rounds) of diamonds at batch 32, by trials at once.\n",
        "| contender | " + " | ".join(map(str, widths)) + " |",
        "|---|" + "---:|" * len(widths),
    ]
    for name in names:
        found = {result.trials: result for result in results if result.name == name}
        cells = [f"{min(found[width].wall):.2f}" if width in found else "" for width in widths]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "![cost against width](images/cost-against-width.png)", ""]
    return "\n".join(lines)


def _service(result: ServiceResult) -> str:
    about = (
        "Sixty trials of diamonds (3 activations, 4 initializers, 5 seeds), batch 32, 10 epochs: from the request to "
        "the answer that every row is stored, and the same study by the engine alone in turns with it (data, weights "
        "and evaluation included in both).\n"
    )
    lines = [
        "## The whole service\n",
        about,
        "| layer diagnostics | alone, s | through the service, s | beyond | CPU s alone | CPU s served | first row |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, title in (("plain", "none"), ("diagnosed", "default (epochs 0, 1, 2, 4, 8, 10)")):
        low, share, high = result.overhead(kind)
        passage = result.served[kind]
        lines.append(
            f"| {title} | {_span(result.alone[kind])} | {_span(passage.total)} | {100 * share:.0f} % "
            f"({100 * low:.0f} to {100 * high:.0f}) | {_span(result.alone_cpu[kind])} | {_span(passage.cpu)} "
            f"| {_span(passage.first)} |"
        )
    plain, diagnosed = result.alone_cpu["plain"], result.alone_cpu["diagnosed"]
    cost = statistics.median(b / a - 1 for a, b in zip(plain, diagnosed, strict=True))
    small = result.small
    closing = (
        f"Layer diagnostics cost {100 * cost:.0f} % more processor time. A small experiment (digits, 6 trials, 3 "
        f"epochs) has its first row {_span(small.first)} s and its last {_span(small.total)} s after the request. The "
        f"training process needed {result.child_peak_bytes / 2**20:.0f} MiB at most."
    )
    lines += ["", closing, ""]
    return "\n".join(lines)


def _span(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def load() -> float:
    """The machine's load average of the last minute."""
    return os.getloadavg()[0]
