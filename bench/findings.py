"""What one run measured, and how results are found in it."""

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.diagnostics_cost import Cost
from bench.race import Result
from bench.whole_service import ServiceResult
from bench.workload import Workload

PRODUCT_FLOPS = 2 * 1024**3
"""Operations of one product of the ceiling's matrices."""


@dataclass
class Findings:
    """All that one run measured; what was left out is empty."""

    races: list[tuple[Workload, list[Result]]] = field(default_factory=list)
    sweep: list[Result] = field(default_factory=list)
    alone: list[tuple[Workload, list[Result]]] = field(default_factory=list)
    service: ServiceResult | None = None
    peers: bool = False
    loads: list[float] = field(default_factory=list)
    diagnostics: list[Cost] = field(default_factory=list)

    def race(self, name: str) -> tuple[Workload, list[Result]] | None:
        """A workload's race by the workload's name."""
        return next((pair for pair in self.races if pair[0].name == name), None)


def named(results: Sequence[Result], start: str) -> list[Result]:
    """The results whose contender's name begins so."""
    return [result for result in results if result.name.startswith(start)]


def fastest(results: Sequence[Result]) -> Result:
    """By median wall time."""
    return min(results, key=lambda result: result.median)


def limit(workload: Workload, ceiling: Result) -> float:
    """Microseconds of wall time that a step's arithmetic takes at the rate of the matrix product."""
    return workload.flops / PRODUCT_FLOPS * ceiling.median


def utilisation(workload: Workload, ours: Result, ceiling: Result) -> tuple[float, float, float]:
    """GFLOP/s of processor time on all cores, those of the matrix product, and the first's share of the second."""
    reached, most = workload.flops / min(ours.cpu) / 1e3, PRODUCT_FLOPS / min(ceiling.cpu) / 1e3
    return reached, most, reached / most


def span(values: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def load() -> float:
    """The machine's load average of the last minute."""
    return os.getloadavg()[0]
