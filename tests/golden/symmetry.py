"""Units that start equal stay equal to the bit: counted for every activation and many widths.

``python -m tests.golden.symmetry --steps 10000`` does so at length, on all processors.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from services.science.streams import Purpose, stream
from services.training.native.between import Between
from services.training.native.description import NativeDescription
from services.training.native.kernel import NativeCohort
from services.training.native.members import ENCODERS, GATES, LEARNED

ROWS, BATCH = 150, 20
"""The last batch of an epoch has ten rows; a batch is no multiple of any vector."""

FAMILIES: tuple[tuple[str, ...], ...] = ((*ENCODERS, *LEARNED), tuple(GATES))
VARIANTS: tuple[tuple[dict[str, Any], Between, str], ...] = (
    ({"kind": "sgd"}, Between(), "mse"),
    ({"kind": "adam"}, Between(norm="layer"), "mae"),
    ({"kind": "sgd", "momentum": 0.9}, Between(norm="batch", residual=True), "mse"),
)
"""Optimizer, what stands between the layers, and loss."""


def distinct_units(
    kinds: tuple[str, ...], width: int, value: float, steps: int, variant: int = 0
) -> dict[str, list[int]]:
    """How many different units each hidden layer has after training from equal weights, per activation."""
    rule, between, loss = VARIANTS[variant]
    outputs, factor = 1 + width % 3, 2 if kinds[0] in GATES else 1
    inputs = 6 if width == 5 else 5  # as wide as the layer, they would be added to its equal units
    widths = (inputs, width, width, outputs)
    shapes = [(a, b * (factor if i < 2 else 1)) for i, (a, b) in enumerate(itertools.pairwise(widths))]
    trials = len(kinds)
    description = NativeDescription(
        widths, loss, BATCH, [{"kind": kind} for kind in kinds],
        [{**rule, "learning_rate": 0.003}] * trials, between=between,
    )  # fmt: skip
    weights = [np.full((trials, *shape), value, np.float32) for shape in shapes]
    cohort = NativeCohort(description, weights, [np.full((trials, b), value, np.float32) for _, b in shapes])
    rng = stream(0, Purpose.SYNTHETIC)
    x = rng.normal(size=(ROWS, inputs)).astype(np.float32)
    cohort.set_training_rows(x, np.tanh(x[:, :1] * x[:, 1:2]) + np.zeros((1, outputs), np.float32))
    for epoch in range(-(-steps * BATCH // ROWS)):
        order = stream(0, Purpose.ORDER, epoch + 1).permutation(ROWS).astype(np.int32)[None]
        cohort.run_epoch(order, np.zeros(trials, np.int32))
    counts: dict[str, list[int]] = {}
    for trial, kind in enumerate(kinds):
        counts[kind] = []
        for layer in cohort.layer_views()[:2]:
            # The two halves of a gated layer may differ, the units within each may not.
            halves = layer[trial].reshape(layer.shape[1], factor, width)
            units = {halves[:, :, unit].tobytes() for unit in range(width)}
            counts[kind].append(len(units))
    return counts


def _count(case: tuple[tuple[str, ...], int, float, int, int]) -> list[str]:
    counts = distinct_units(*case)
    return [f"{kind}, width {case[1]}, {case[2]}: {units}" for kind, units in counts.items() if units != [1, 1]]


def broken(
    widths: Iterable[int], steps: int, variants: Iterable[int] = range(len(VARIANTS)), processes: int = 1
) -> list[str]:
    """What did not stay equal, a line each."""
    cases = [
        (kinds, width, value, steps, variant)
        for width in widths
        for kinds in FAMILIES
        for value in (0.0, 0.1)
        for variant in variants
    ]
    if processes == 1:
        return [line for case in cases for line in _count(case)]
    with ProcessPoolExecutor(processes) as pool:
        return [line for lines in pool.map(_count, cases, chunksize=4) for line in lines]


def main() -> int:
    """Widths 1 to 70; 1 where units parted."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--variant", type=int, action="append", choices=range(len(VARIANTS)), help="default: all")
    options = parser.parse_args()
    variants = options.variant or range(len(VARIANTS))
    lines = broken(range(1, 71), options.steps, variants, os.cpu_count() or 1)
    sys.stdout.write("".join(f"{line}\n" for line in lines[:100]))
    networks = 70 * sum(map(len, FAMILIES)) * 2 * len(variants)
    sys.stdout.write(f"{len(lines)} of {networks} networks have units that parted\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
