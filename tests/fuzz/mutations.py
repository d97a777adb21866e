"""Inputs near to valid ones: bytes and JSON values, changed at random places; one generator makes the same ones."""

from collections.abc import Sequence
from typing import Any

from numpy.random import Generator

LONGEST = 20_000
"""Bytes of an input."""
MOST_CHANGES = 6
REPEATS = (2, 40, 1_000)
EXTREMES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -0.0, 0.1, 1e-320, 1e308, -1e308, "", " ", "nan", "relu", "\0",
    "\ud7ff\u202e", "x" * 5_000, [], {}, [[]], [None], {"kind": "relu"}, {"kind": None}, {"": ""}, list(range(300)),
)  # fmt: skip


def changed(data: bytes, tokens: Sequence[bytes], corpus: Sequence[bytes], draw: Generator) -> bytes:
    """The bytes after a few cuts, copies, replacements and insertions."""
    for _ in range(min(MOST_CHANGES, int(draw.geometric(0.6)))):
        start = int(draw.integers(0, len(data) + 1))
        end = min(len(data), start + int(draw.integers(0, 20)))
        token = tokens[int(draw.integers(len(tokens)))]
        other = corpus[int(draw.integers(len(corpus)))]
        middle = (
            b"",
            data[start:end] * 2,
            token,
            token * REPEATS[int(draw.integers(len(REPEATS)))],
            bytes(draw.integers(0, 256, 3, dtype="uint8")),
            other[int(draw.integers(0, len(other) + 1)) :],
        )[int(draw.integers(6))]
        data = (data[:start] + middle + data[end:])[:LONGEST]
    return data


def changed_value(value: Any, draw: Generator, depth: int = 0) -> Any:
    """The JSON value with one part of it replaced, doubled, left out, or nested in something else."""
    if isinstance(value, dict | list) and value and depth < 8 and draw.random() < 0.85:
        steps = list(value) if isinstance(value, dict) else list(range(len(value)))
        step = steps[int(draw.integers(len(steps)))]
        copy = value.copy()
        if draw.random() < 0.1:
            del copy[step]
        else:
            copy[step] = changed_value(value[step], draw, depth + 1)
        return copy
    extreme = EXTREMES[int(draw.integers(len(EXTREMES)))]
    ways = (extreme, extreme, [value, extreme], [value] * 3, {"kind": value}, str(value), [extreme] * 50)
    return ways[int(draw.integers(len(ways)))]
