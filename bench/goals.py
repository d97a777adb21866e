"""The goals beside the figures of one run: reached, or missed by how much, and what the arithmetic allows at most."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from bench.entries import CEILING, EAGER, KERAS, OURS, OURS_CNN, STACKED
from bench.findings import Findings, fastest, limit, named, utilisation
from bench.race import Result
from bench.workload import CNN, DIAMONDS, DIAMONDS_256, Workload

EAGER_CNN = "PyTorch"
FLAT = 1.1
"""A cost counts as flat where it is at most so many times the least of the narrower cohorts."""
RATIOS = ((DIAMONDS.name, 35.0, 100.0, 1.5), (DIAMONDS_256.name, 8.0, None, 1.2))
"""By workload: times faster than PyTorch's loop, Keras on its default backend, the best JAX program."""


@dataclass(frozen=True)
class Goal:
    """A number to be reached from below (`least`) or from above.

    Attributes:
        note: what else the figures say, such as what limits.
    """

    text: str
    wanted: float
    got: float
    unit: str = "x"
    least: bool = True
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure is as good as the goal."""
        return self.got >= self.wanted if self.least else self.got <= self.wanted

    def row(self) -> str:
        """A row of the table."""
        if self.reached:
            verdict = "reached"
        elif self.unit == "%":
            verdict = f"missed by {abs(self.got - self.wanted):.1f} points"
        else:
            verdict = f"missed by {100 * abs(self.got / self.wanted - 1):.0f} %"
        bound = "at least" if self.least else "at most"
        goal, got = _shown(self.wanted, self.unit), _shown(self.got, self.unit)
        return f"| {self.text} | {bound} {goal} | {got} | {verdict} | {self.note} |"


def section(findings: Findings) -> str:
    """Markdown; empty when nothing of it was measured."""
    goals = [*_ratios(findings), *_service(findings), *_widths(findings), *_convolutions(findings)]
    if not goals:
        return ""
    count = sum(goal.reached for goal in goals)
    about = (
        f"{count} of {len(goals)} reached in this run. Factors are wall time against wall time within a round, the "
        "median of the rounds; *at most possible* is the factor of an engine that does this arithmetic at the full "
        "rate of the large matrix product.\n"
    )
    lines = [
        "## Goals\n",
        about,
        "| goal | wanted | measured | | note |",
        "|---|---:|---:|---|---|",
        *(goal.row() for goal in goals),
        "",
        *_arithmetic(findings),
    ]
    return "\n".join(lines)


def _ratios(findings: Findings) -> Iterator[Goal]:
    for name, eager, keras, jax in RATIOS:
        if (race := findings.race(name)) is None:
            continue
        workload, results = race
        [ours], [ceiling] = named(results, OURS), named(results, CEILING)
        yield _faster(
            workload, ours, ceiling, named(results, EAGER), "than PyTorch's loop, one network at a time", eager
        )
        for place, contender in enumerate(KERAS.values()):
            if keras is not None and (others := named(results, contender)):
                default = " (Keras's default backend)" if place == 0 else ""
                yield _faster(workload, ours, ceiling, others, f"than {contender}{default}", keras)
        if others := named(results, "JAX"):
            text = f"than the best of JAX on all cores ({fastest(others).name})"
            yield _faster(workload, ours, ceiling, others, text, jax)


def _faster(workload: Workload, ours: Result, ceiling: Result, others: list[Result], text: str, goal: float) -> Goal:
    best = fastest(others)
    possible = _shown(best.median / limit(workload, ceiling), "x")
    title = f"{workload.title.partition(',')[0]}, batch {workload.batch}: times faster {text}"
    return Goal(title, goal, best.times(ours)[1], note=f"at most possible: {possible}")


def _service(findings: Findings) -> Iterator[Goal]:
    result = findings.service
    if result is None:
        return
    for kind, title in (("plain", "without layer diagnostics"), ("diagnosed", "with the default layer diagnostics")):
        cpu = _beyond(result.served[kind].cpu, result.alone_cpu[kind])
        text = f"60 trials through the whole service, {title}: beyond the engine alone"
        yield Goal(text, 15.0, 100 * result.overhead(kind)[1], "%", least=False, note=f"processor time: {cpu:.0f} %")
    if result.keras:
        served, single = result.served["diagnosed"].total, result.keras
        ratio = statistics.median(a / b for a, b in zip(served, single, strict=True))
        text = f"60 trials through the service, against one network of as many epochs by {result.keras_name}: time"
        note = f"{statistics.median(served):.1f} s against {statistics.median(single):.1f} s"
        yield Goal(text, 1.0, ratio, least=False, note=note)


def _widths(findings: Findings) -> Iterator[Goal]:
    """A single trial, and wider and wider cohorts."""
    for workload, results in findings.alone:
        [ours], [stacked], [eager] = (named(results, name) for name in (OURS, STACKED, EAGER))
        goal = 10.0 if workload.name == DIAMONDS.name else 1.0
        note = f"networks outside the kernel: {eager.times(stacked)[1]:.1f}x"
        yield Goal(
            f"one trial, {workload.title}: times faster than PyTorch's loop", goal, eager.times(ours)[1], note=note
        )
    if kernel := sorted(named(findings.sweep, OURS), key=lambda result: result.trials):
        costs = [min(result.wall) for result in kernel]
        worst = max((cost / min(costs[: place + 1]) for place, cost in enumerate(costs)), default=1.0)
        text = (
            f"cost of a trial from {kernel[0].trials} to {kernel[-1].trials} at once: times the least of narrower ones"
        )
        yield Goal(
            text, FLAT, worst, least=False, note=f"the widest costs {costs[-1] / costs[0]:.2f} times the narrowest"
        )


def _convolutions(findings: Findings) -> Iterator[Goal]:
    if (race := findings.race(CNN.name)) is None:
        return
    workload, results = race
    [ceiling] = named(results, CEILING)
    own, others = named(results, OURS_CNN), named(results, EAGER_CNN)
    ours = fastest(own)
    plain = [result for result in others if "kept" not in result.name]
    note = f"{100 * utilisation(workload, ours, ceiling)[2]:.0f} % of the matrix product's rate"
    for rivals, how in ((plain, "tuned"), (others, "tuned, or with the same allocator setting")):
        best = fastest(rivals)
        text = f"cifar10 cnn: time against PyTorch's loop, {how} ({best.name})"
        yield Goal(text, 1.0, ours.times(best)[1], least=False, note=note)


def _arithmetic(findings: Findings) -> list[str]:
    parts = []
    for workload, results in findings.races:
        for ceiling in named(results, CEILING):
            reached, most, share = utilisation(workload, results[0], ceiling)
            parts.append(f"{workload.name} {100 * share:.0f} % ({reached:.0f} of {most:.0f} GFLOP/s)")
    return [f"Share of the arithmetic limit, in processor time: {', '.join(parts)}.\n"] if parts else []


def _beyond(more: list[float], less: list[float]) -> float:
    return 100 * (statistics.median(a / b for a, b in zip(more, less, strict=True)) - 1)


def _shown(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:.0f} %"
    return f"{value:.0f}x" if value >= 10 else f"{value:.2f}x"
