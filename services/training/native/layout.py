"""How numbers lie in memory for the kernel.

A trial's parameters are one line: per layer a matrix ``(fan_in + 1, fan_out)``, its last row the bias; then per hidden
layer a normalisation's scale and shift; then per hidden layer a trained slope. Each is padded with zeros to a multiple
of `ALIGNMENT` floats. The optimizer's arrays have the same form. Moving means and variances make another line.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 16
"""Floats to a multiple of which everything is padded: a cache line, and the widest vector there is."""

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Layout:
    """Where everything lies in a trial's lines.

    Attributes:
        widths: inputs, units of the hidden layers, outputs.
        factor: pre-activations per hidden unit; 2 for gated units.
        norm: whether hidden layers are normalised, and whether that is after the activation.
        moving: whether the normalisation has moving statistics.
        learned: whether hidden layers have a slope.
    """

    widths: tuple[int, ...]
    factor: int = 1
    norm: tuple[bool, bool] = (False, False)
    moving: bool = False
    learned: bool = False

    @property
    def layers(self) -> int:
        """Weight matrices."""
        return len(self.widths) - 1

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        return [
            (a, b * (self.factor if layer < self.layers - 1 else 1))
            for layer, (a, b) in enumerate(itertools.pairwise(self.widths))
        ]

    @property
    def norm_widths(self) -> list[int]:
        """Scales of each hidden layer's normalisation."""
        normed, after = self.norm
        return [(a if after else a * self.factor) if normed else 0 for a in self.widths[1:-1]]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each layer's matrix begins, and where the last one ends."""
        return _starts([(a + 1) * b for a, b in self.shapes])

    @property
    def scales(self) -> NDArray[np.int64]:
        """Where each hidden layer's scale begins, its shift as far behind it as it is long; and where they end."""
        return self.offsets[-1] + 2 * _starts(self.norm_widths)

    @property
    def slopes(self) -> NDArray[np.int64]:
        """Where each hidden layer's slope lies, and where they end."""
        return self.scales[-1] + _starts([int(self.learned)] * (self.layers - 1))

    @property
    def statistics(self) -> NDArray[np.int64]:
        """As `scales`: moving means and variances in their own line."""
        return 2 * _starts(self.norm_widths if self.moving else [0] * (self.layers - 1))

    @property
    def length(self) -> int:
        """Floats of a line of parameters."""
        return int(self.slopes[-1])

    def views(self, lines: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Views ``[T, fan_in + 1, fan_out]`` of every layer in lines ``[T, length]``; the last row is the bias."""
        views: list[NDArray[np.float32]] = []
        for (a, b), offset in zip(self.shapes, self.offsets[:-1], strict=True):
            views.append(lines[:, offset : offset + (a + 1) * b].reshape(len(lines), a + 1, b))
        return views

    def scale_views(self, lines: NDArray[np.float32]) -> list[Pair]:
        """Views of every hidden layer's scale and shift, each ``[T, width]``; none without a normalisation."""
        return _pairs(lines, self.scales, self.norm_widths) if self.norm[0] else []

    def slope_views(self, lines: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Views ``[T, 1]`` of every hidden layer's slope; none where no trial has one."""
        return [lines[:, at : at + 1] for at in self.slopes[:-1]] if self.learned else []

    def statistics_views(self, lines: NDArray[np.float32]) -> list[Pair]:
        """Views of every hidden layer's moving mean and variance, each ``[T, width]``."""
        return _pairs(lines, self.statistics, self.norm_widths) if self.moving else []


def _starts(sizes: list[int]) -> NDArray[np.int64]:
    padded = [-(-size // ALIGNMENT) * ALIGNMENT for size in sizes]
    return np.array([0, *itertools.accumulate(padded)], dtype=np.int64)


def _pairs(lines: NDArray[np.float32], starts: NDArray[np.int64], widths: list[int]) -> list[Pair]:
    pairs: list[Pair] = []
    for (first, last), width in zip(itertools.pairwise(starts), widths, strict=True):
        middle = (first + last) // 2
        pairs.append((lines[:, first : first + width], lines[:, middle : middle + width]))
    return pairs


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
