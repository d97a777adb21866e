"""The page docs/benchmarks.md, from what was measured."""

import platform
from collections.abc import Sequence
from pathlib import Path

from bench import goals
from bench.diagnostics_cost import Cost
from bench.entries import CEILING, KERAS, OURS_CNN, PINNED
from bench.findings import Findings, named, span, utilisation
from bench.race import CORES, Result
from bench.whole_service import STUDY, ServiceResult
from bench.workload import CNN, Workload


def page(findings: Findings) -> str:
    """Markdown."""
    parts = [HEAD, _machine(findings), goals.section(findings)]
    parts += [_race(workload, results) for workload, results in findings.races]
    if findings.sweep:
        parts.append(_sweep(findings.sweep))
    if findings.alone:
        parts.append(_alone(findings.alone))
    if findings.service is not None:
        parts.append(_service(findings.service))
    if findings.diagnostics:
        parts.append(_diagnostics(findings.diagnostics))
    parts.append(HOW)
    if findings.peers:
        parts += [PEERS, _keras(findings)]
    return "\n".join(part for part in parts if part)


HEAD = """# Benchmarks

Written by `make bench-peers`: this project, PyTorch, and JAX and Keras in environments of their own under `var/peers`.
`make bench` leaves those out and prints its figures; `python -m bench --only cnn` measures a part of them.
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

PEERS = """JAX is given both of its forms, one program for all trials (`vmap`) and a compiled epoch mapped over them
(`scan`), each in one process on all cores and in one pinned process per core.
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
    ours = results[0]
    ceiling = next(iter(named(results, CEILING)), None)
    digits = 2 if workload.image else 1
    lines = [
        f"## {workload.title[0].upper()}{workload.title[1:]}\n",
        "| contender | trials at once | wall, µs per trial and step | CPU / cores, µs | times slower | peak MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        if result is not ceiling:
            low, ratio, high = result.times(ours)
            slower = "1" if result is ours else f"{ratio:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
            lines.append(
                f"| {result.name} | {result.trials} | {span(result.wall)} | {min(result.cpu):.2f} | {slower} "
                f"| {result.peak_bytes / 2**20:.0f} |"
            )
    lines.append("")
    if ceiling is not None:
        reached, most, share = utilisation(workload, ours, ceiling)
        lines.append(
            f"A step of one trial is {workload.flops:,} operations; {ours.name} does {reached:.0f} GFLOP/s of CPU time "
            f"on all cores, {100 * share:.0f} % of the {most:.0f} GFLOP/s of a large matrix product measured in turns "
            "with it.\n"
        )
    if workload.name == CNN.name:
        lines.append(_convolutions(results))
    return "\n".join(lines)


def _convolutions(results: Sequence[Result]) -> str:
    text = (
        f"`{OURS_CNN}` trains a cohort's trials side by side, a core each. PyTorch's loop has its images and "
        "kernels channels last but in the last row, which is what `torch.nn` gives unasked; *freed memory kept* is the "
        "setting of the C library's allocator that this project uses.\n"
    )
    for apart in named(results, f"{OURS_CNN}, {PINNED}"):
        low, ratio, high = results[0].times(apart)
        text = (
            f"{text.rstrip()} With {PINNED} a worker has a slot per core, each with its trial: one process for "
            f"both takes {ratio:.2f} ({low:.2f} to {high:.2f}) times as long.\n"
        )
    return text


def _alone(races: Sequence[tuple[Workload, Sequence[Result]]]) -> str:
    names = [result.name for result in races[0][1]]
    lines = [
        "## One trial at a time\n",
        "Microseconds per step (wall, median and range) of a cohort of one trial.\n",
        "| workload | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for workload, results in races:
        lines.append(f"| {workload.title} | " + " | ".join(span(result.wall) for result in results) + " |")
    return "\n".join([*lines, ""])


def _keras(findings: Findings) -> str:
    """What Keras's rows are, with the factor on each backend."""
    (default, *_), texts = KERAS.values(), []
    for workload, results in findings.races:
        pairs = [(name, result) for name in KERAS.values() for result in named(results, name)]
        factors = [f"{name} {result.times(results[0])[1]:.0f}" for name, result in pairs]
        if factors:
            texts.append(f"{workload.name}: {', '.join(factors)}")
    if not texts:
        return ""
    return (
        "Keras runs `fit`, one network at a time as PyTorch's loop does, on its default backend "
        f"({default.removeprefix('Keras fit, ')}) and on the others. Times slower than the kernel: "
        f"{'; '.join(texts)}.\n"
    )


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
        by_width = {result.trials: result for result in results if result.name == name}
        cells = [f"{min(by_width[width].wall):.2f}" if width in by_width else "" for width in widths]
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
            f"| {title} | {span(result.alone[kind])} | {span(passage.total)} | {100 * share:.0f} % "
            f"({100 * low:.0f} to {100 * high:.0f}) | {span(result.alone_cpu[kind])} | {span(passage.cpu)} "
            f"| {span(passage.first)} |"
        )
    small = result.small
    closing = (
        f"A small experiment (digits, 6 trials, 3 epochs) has its first row {span(small.first)} s and its last "
        f"{span(small.total)} s after the request. The training process needed "
        f"{result.child_peak_bytes / 2**20:.0f} MiB at most."
    )
    lines += ["", closing, ""]
    if result.keras:
        single = (
            f"One network of the same {STUDY['epochs']} epochs, validated after each, takes {result.keras_name} "
            f"{span(result.keras)} s from building it to the end; starting Python and importing are not in it."
        )
        lines += [single, ""]
    return "\n".join(lines)


def _diagnostics(costs: Sequence[Cost]) -> str:
    about = (
        "The training process of sixty trials (3 activations, 4 initializers, 5 seeds) with the default schedule and "
        "with no diagnostics, in turns: processor seconds from its being ready to its end, and what diagnostics add, "
        "turn by turn. The rows measured are as many whatever the size of the data set, so that their share falls with "
        "the training rows of an epoch and with the epochs.\n"
    )
    lines = [
        "## What layer diagnostics cost\n",
        about,
        "| study | CPU s without | CPU s with | more CPU | more wall |",
        "|---|---:|---:|---:|---:|",
    ]
    for cost in costs:
        cells = [
            f"{100 * m:.1f} % ({100 * a:.1f} to {100 * b:.1f})" for m, a, b in map(cost.share, (cost.cpu, cost.wall))
        ]
        lines.append(f"| {cost.study} | {span(cost.cpu['none'])} | {span(cost.cpu['default'])} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
