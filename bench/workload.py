"""The networks that every contender trains. Only the standard library: the peers' environments read this too."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Self


@dataclass(frozen=True)
class Workload:
    """Trials of one network with relu and plain gradient descent.

    Attributes:
        widths: of the dense layers, from the inputs to the outputs.
        loss: mae or cross_entropy.
        rows: training rows; a turn may use fewer, never others.
        trials: networks trained together, where a contender can.
        image: channels, height and width of a row that goes through convolutions first.
        blocks: channels of the 3 x 3 convolutions of each block; a block ends in 2 x 2 pooling.
    """

    name: str
    title: str
    widths: tuple[int, ...]
    loss: str
    batch: int
    rows: int
    trials: int = 60
    learning_rate: float = 1e-3
    image: tuple[int, ...] = ()
    blocks: tuple[tuple[int, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self.image or self.widths[:1]

    @property
    def flops(self) -> int:
        """Arithmetic of one step of one trial: three products of two operations, less the first layer's way back."""
        products = [*self._convolutions(), *(a * b for a, b in itertools.pairwise(self.widths))]
        return 2 * self.batch * (3 * sum(products) - products[0])

    def _convolutions(self) -> Iterator[int]:
        """Multiplications of one row in each convolution."""
        if self.image:
            channels, height, width = self.image
            for block in self.blocks:
                for kernels in block:
                    yield 9 * channels * kernels * height * width
                    channels = kernels
                height, width = height // 2, width // 2

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
        blocks = tuple(map(tuple, document["blocks"]))  # type: ignore[arg-type]
        own = {"widths": tuple(document["widths"]), "image": tuple(document["image"]), "blocks": blocks}  # type: ignore[arg-type]
        return cls(**{**document, **own})  # type: ignore[arg-type]


DIAMONDS = Workload("diamonds_32", "diamonds, 6-50-50-1, batch 32", (6, 50, 50, 1), "mae", 32, 43_152)
DIAMONDS_256 = replace(DIAMONDS, name="diamonds_256", title="diamonds, 6-50-50-1, batch 256", batch=256)
DEEP = Workload(
    "digits_deep", "digits, 30 hidden layers of 32, batch 32", (64, *[32] * 30, 10), "cross_entropy", 32, 1_437
)
WORKLOADS = (DIAMONDS, DIAMONDS_256, DEEP)
CNN = Workload(
    "cnn",
    "CIFAR-10, convolutions of 32, 32, 64, 64, 128 and 128 channels, batch norm, dropout, batch 512",
    (2048, 128, 10),
    "cross_entropy",
    512,
    512,
    trials=2,
    learning_rate=1e-2,
    image=(3, 32, 32),
    blocks=((32, 32), (64, 64), (128, 128)),
)
SWEEP = (1, 4, 16, 60, 240)
"""Widths at which the cost per trial is measured."""
