"""The networks that every contender trains. Only the standard library: the peers' environments read this too."""

import itertools
from dataclasses import asdict, dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Workload:
    """Trials of one multilayer perceptron with relu and plain gradient descent.

    Attributes:
        widths: from the inputs to the outputs.
        loss: mae or cross_entropy.
        rows: training rows; a turn may use fewer, never others.
        trials: networks trained together, where a contender can.
    """

    name: str
    title: str
    widths: tuple[int, ...]
    loss: str
    batch: int
    rows: int
    trials: int = 60
    learning_rate: float = 1e-3

    @property
    def flops(self) -> int:
        """Arithmetic of one step of one trial: three products of two operations, less the first layer's way back."""
        products = [a * b for a, b in itertools.pairwise(self.widths)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    @property
    def steps(self) -> int:
        """Whole batches in one epoch."""
        return self.rows // self.batch

    def with_trials(self, trials: int) -> Self:
        """The same with another number of trials."""
        return replace(self, trials=trials)

    def document(self) -> dict[str, object]:
        """As plain values; `from_document` reads it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, object]) -> Self:
        """Read what `document` wrote, also after it went through JSON."""
        return cls(**{**document, "widths": tuple(document["widths"])})  # type: ignore[arg-type]


DIAMONDS = Workload("diamonds_32", "diamonds, 6-50-50-1, batch 32", (6, 50, 50, 1), "mae", 32, 43_152)
DIAMONDS_256 = replace(DIAMONDS, name="diamonds_256", title="diamonds, 6-50-50-1, batch 256", batch=256)
DEEP = Workload(
    "digits_deep", "digits, 30 hidden layers of 32, batch 32", (64, *[32] * 30, 10), "cross_entropy", 32, 1_437
)
WORKLOADS = (DIAMONDS, DIAMONDS_256, DEEP)
SWEEP = (1, 4, 16, 60, 240)
"""Widths at which the cost per trial is measured."""
