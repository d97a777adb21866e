"""Random streams: the only place in the project that makes a random generator.

A number drawn in a trial depends on its seed, its purpose and an index, and on nothing else: not on the device, not on
the neighbours in its cohort, not on the order in which things are computed. See docs/numerics.md.
"""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is used for. The value is part of the contract: never renumber."""

    SPLIT = 0
    """Which rows train and which validate; always drawn with seed 0 and index 0."""
    WEIGHTS = 1
    """Initial weights; index = layer number from the input, 0-based."""
    BIASES = 2
    """Initial biases; the same index."""
    ORDER = 3
    """Row order of an epoch; index = epoch, 1-based."""
    DROPOUT = 4
    """Dropout masks."""
    RESAMPLING = 5
    """Bootstrap and Monte Carlo permutation in a comparison."""
    SYNTHETIC = 6
    """Rows of a generated data set."""


def legacy(numpy_seed: int) -> np.random.RandomState:
    """The generator behind `numpy.random.seed`: only for numbers that somebody else has published with it.

    NumPy keeps its stream as it is for good (NEP 19).

    Args:
        numpy_seed: 0 <= numpy_seed < 2**32.
    """
    return np.random.RandomState(numpy_seed)


def stream(seed: int, purpose: Purpose | int, index: int = 0) -> np.random.Generator:
    """Return the generator of (seed, purpose, index): ``Philox(key=[seed, purpose * 2**32 + index])``.

    Args:
        seed: 0 <= seed < 2**64.
        purpose: what the numbers are for.
        index: 0 <= index < 2**32.

    Raises:
        ValueError: a seed or index outside its range.
    """
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be between 0 and 2**64 - 1, not {seed}")
    if not 0 <= index < 2**32:
        raise ValueError(f"stream index must be between 0 and 2**32 - 1, not {index}")
    key = np.array([seed, second_word(purpose, index)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def second_word(purpose: Purpose | int, index: int) -> int:
    """The second word of a stream's key; the first is the seed."""
    return int(purpose) * 2**32 + index
