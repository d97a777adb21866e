"""Batch and layer normalisation of ``[trials, rows, ..., units]``, trial by trial, and where statistics come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from services.science.models.layers import Stage

Moments = tuple[Tensor, Tensor]
"""Mean and variance of each unit, both ``[trials, units]``."""

Statistics = Callable[[int, Tensor], Moments]
"""Called with a layer's index and what is to be normalised there."""


def batch_moments(_index: int, x: Tensor) -> Moments:
    """Mean and variance (ddof 0) over the rows and places of ``[trials, rows, ..., units]``."""
    flat = x.flatten(1, -2)
    variance, mean = torch.var_mean(flat, dim=1, correction=0)
    return mean, variance


def scaled(x: Tensor, mean: Tensor, variance: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> Tensor:
    """``gamma (x - mean) / sqrt(variance + epsilon) + beta``; the last four are ``[trials, units]``."""
    mean, factor, beta = (spread(item, x) for item in (mean, gamma * torch.rsqrt(variance + epsilon), beta))
    return torch.addcmul(beta, x - mean, factor)


def layer_norm(x: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> Tensor:
    """Normalise every row over its last axis, then scale and shift; gamma and beta are ``[trials, units]``."""
    plain = torch.nn.functional.layer_norm(x, x.shape[-1:], eps=epsilon)
    return torch.addcmul(spread(beta, x), plain, spread(gamma, x))


def spread(values: Tensor, x: Tensor) -> Tensor:
    """Numbers ``[trials, units]`` so that they broadcast over ``[trials, rows, ..., units]``."""
    return values.view(len(values), *[1] * (x.dim() - 2), values.shape[-1])


class MovingStatistics:
    """The moving means and variances of a cohort's batch norm layers, in the network's trial order.

    Attributes:
        buffers: ``[trials, units]`` by name, ``batch_norm.<layer>.mean`` and ``batch_norm.<layer>.variance``.
    """

    def __init__(self, stages: Sequence[Stage], trials: int, device: str) -> None:
        self.buffers: dict[str, Tensor] = {}
        self._layers: dict[int, tuple[float, Tensor, Tensor]] = {}
        for stage in stages:
            if stage.batch_norm is None:
                continue
            mean = torch.zeros((trials, stage.norm_width), device=device)
            variance = torch.ones_like(mean)
            self.buffers[f"batch_norm.{stage.layer.name}.mean"] = mean
            self.buffers[f"batch_norm.{stage.layer.name}.variance"] = variance
            self._layers[stage.layer.index] = (stage.batch_norm.decay, mean, variance)

    def present(self, part: slice) -> Statistics:
        """Statistics as they are."""

        def moments(index: int, _x: Tensor) -> Moments:
            _, mean, variance = self._layers[index]
            return mean[part], variance[part]

        return moments

    def training(self, part: slice) -> Statistics:
        """A batch's own statistics, from which the moving ones learn."""

        def moments(index: int, x: Tensor) -> Moments:
            decay, *moving = self._layers[index]
            found = batch_moments(index, x)
            for kept, new in zip(moving, found, strict=True):
                # lerp keeps a value that equals the new one, whatever the rounding.
                kept[part] = torch.lerp(kept[part], new.detach(), 1.0 - decay)
            return found

        return moments


@dataclass
class PooledStatistics:
    """Statistics of many batches, each normalised by its own on the way; the variance includes that of their means."""

    _rows: dict[int, int] = field(default_factory=dict)
    _sums: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def add(self, index: int, x: Tensor) -> Moments:
        """A batch's own statistics, taken note of."""
        mean, variance = batch_moments(index, x)
        first, second = mean.double(), variance.double() + mean.double().square()
        rows = x.shape[1]
        if index not in self._sums:
            self._sums[index] = (torch.zeros_like(first), torch.zeros_like(second))
            self._rows[index] = 0
        self._sums[index][0].add_(first, alpha=rows)
        self._sums[index][1].add_(second, alpha=rows)
        self._rows[index] += rows
        return mean, variance

    def pooled(self, index: int, _x: Tensor) -> Moments:
        """Statistics of all batches together."""
        mean, square = (total / self._rows[index] for total in self._sums[index])
        return mean.float(), (square - mean.square()).clamp(min=0.0).float()
