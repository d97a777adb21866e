"""How numbers lie in memory for the kernel.

A trial's parameters are one line: per layer a matrix ``(fan_in + 1, fan_out)``, its last row the bias, padded with
zeros to a multiple of `ALIGNMENT` floats. The optimizer's arrays have the same form.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 16
"""Floats to a multiple of which a layer's parameters are padded: a cache line, and the widest vector there is."""


@dataclass(frozen=True)
class Layout:
    """Where each layer lies in a trial's line of parameters.

    Attributes:
        widths: inputs, hidden widths, outputs.
    """

    widths: tuple[int, ...]

    @property
    def layers(self) -> int:
        """Weight matrices."""
        return len(self.widths) - 1

    @property
    def sizes(self) -> list[int]:
        """Parameters of each layer, without padding."""
        return [(a + 1) * b for a, b in itertools.pairwise(self.widths)]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each layer begins, and the length of the line."""
        padded = [-(-size // ALIGNMENT) * ALIGNMENT for size in self.sizes]
        return np.array([0, *itertools.accumulate(padded)], dtype=np.int64)

    def views(self, lines: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Views ``[T, fan_in + 1, fan_out]`` of every layer in lines ``[T, length]``; the last row is the bias."""
        found: list[NDArray[np.float32]] = []
        for (a, b), offset, size in zip(itertools.pairwise(self.widths), self.offsets[:-1], self.sizes, strict=True):
            found.append(lines[:, offset : offset + size].reshape(len(lines), a + 1, b))
        return found


def aligned_zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that start at a cache line."""
    count = int(np.prod(shape))
    raw = np.zeros(count + ALIGNMENT, dtype=np.float32)
    skip = (-raw.ctypes.data % (4 * ALIGNMENT)) // 4
    return raw[skip : skip + count].reshape(shape)


def tiles(rows: NDArray, chunk: int) -> NDArray:
    """Rows ``[n, k]`` or ``[n]`` as ``[ceil(n / chunk), k, chunk]``, padded with zeros."""
    table = rows.reshape(len(rows), -1)
    count = -(-len(table) // chunk)
    padded = np.zeros((count * chunk, table.shape[1]), dtype=np.float32 if rows.dtype == np.float32 else np.int32)
    padded[: len(table)] = table
    return np.ascontiguousarray(padded.reshape(count, chunk, -1).transpose(0, 2, 1))
