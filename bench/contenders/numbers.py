"""Rows and weights for contenders that make their own; the values do not matter, their number does."""

import itertools

import numpy as np
from numpy.typing import NDArray

from bench.workload import Workload

Floats = NDArray[np.float32]


def rows(workload: Workload, count: int) -> tuple[Floats, NDArray[np.generic]]:
    """Features ``[count, inputs]`` or images, and targets ``[count, 1]``, or classes ``[count]``."""
    rng = np.random.Generator(np.random.Philox(key=[0, 0]))
    x = rng.normal(size=(count, *workload.shape)).astype(np.float32)
    if workload.loss == "cross_entropy":
        return x, np.abs(x.reshape(count, -1)[:, 0] * 3).astype(np.int64) % workload.widths[-1]
    return x, 0.5 * x[:, :1]


def layers(workload: Workload) -> list[tuple[Floats, Floats]]:
    """Weights ``[trials, fan_in, fan_out]`` (He) and biases ``[trials, fan_out]`` of every layer."""
    rng = np.random.Generator(np.random.Philox(key=[0, 1]))
    trials = workload.trials
    return [
        (rng.normal(0, (2 / a) ** 0.5, (trials, a, b)).astype(np.float32), np.zeros((trials, b), np.float32))
        for a, b in itertools.pairwise(workload.widths)
    ]


def orders(workload: Workload, steps: int) -> NDArray[np.int64]:
    """Rows of each trial's batches, ``[trials, steps, batch]``: an epoch's permutation, cut short."""
    rng = np.random.Generator(np.random.Philox(key=[0, 2]))
    taken = steps * workload.batch
    drawn = [rng.permutation(workload.rows)[:taken].reshape(steps, workload.batch) for _ in range(workload.trials)]
    return np.stack(drawn)
