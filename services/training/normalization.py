"""Batch and layer normalisation of ``[trials, rows, ..., units]``, trial by trial, and where statistics come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from services.science.models.layers import Stage
from services.training.image_norm import ImageNorm

Moments = tuple[Tensor, Tensor]
"""Mean and variance of each unit, both ``[trials, units]``."""

Normalizer = Callable[[int, Tensor, float, Tensor, Tensor], Tensor]
"""Called with a layer's index, what is to be normalised there, epsilon, gamma and beta; the last two per unit."""


def by_own(x: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Moments]:
    """Normalise ``[trials, rows, ..., units]`` by the mean and variance (ddof 0) over its rows and places."""
    if x.dim() == 5 and len(x) == 1 and x.device.type == "cpu":
        normalized, *moments = ImageNorm.apply(x.squeeze(0), gamma.squeeze(0), beta.squeeze(0), epsilon)  # pyright: ignore[reportGeneralTypeIssues]
        mean, variance = (item.unsqueeze(0) for item in moments)
        return normalized.unsqueeze(0), (mean, variance)
    if x.dim() == 5 and len(x) == 1:
        # One trial's images: the device's own kernel takes a third of the time. It keeps 1 / sqrt(variance + epsilon).
        images = x.squeeze(0).permute(0, 3, 1, 2)
        scales, shifts = gamma.squeeze(0), beta.squeeze(0)
        normalized, mean, root = torch.native_batch_norm(images, scales, shifts, None, None, True, 0.0, epsilon)
        variance = (root.square().reciprocal() - epsilon).clamp(min=0.0)
        return normalized.permute(0, 2, 3, 1).unsqueeze(0), (mean.unsqueeze(0), variance.unsqueeze(0))
    variance, mean = torch.var_mean(x.flatten(1, -2), dim=1, correction=0)
    return scaled(x, mean, variance, epsilon, gamma, beta), (mean, variance)


def by_batch(_index: int, x: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> Tensor:
    """The `Normalizer` that takes every batch's own statistics."""
    return by_own(x, epsilon, gamma, beta)[0]


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

    def present(self, part: slice) -> Normalizer:
        """Normalises by the moving statistics as they are."""

        def normalize(index: int, x: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> Tensor:
            _, mean, variance = self._layers[index]
            return scaled(x, mean[part], variance[part], epsilon, gamma, beta)

        return normalize

    def training(self, part: slice) -> Normalizer:
        """Normalises by a batch's own statistics, from which the moving ones learn."""

        def normalize(index: int, x: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> Tensor:
            decay, *moving = self._layers[index]
            normalized, moments = by_own(x, epsilon, gamma, beta)
            for average, new in zip(moving, moments, strict=True):
                average[part] = torch.lerp(average[part], new.detach(), 1.0 - decay)
            return normalized

        return normalize


@dataclass
class PooledStatistics:
    """Statistics of many batches, each normalised by its own on the way; the variance includes that of their means."""

    _rows: dict[int, int] = field(default_factory=dict)
    _sums: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def add(self, index: int, x: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> Tensor:
        """The `Normalizer` by a batch's own statistics, which are taken note of."""
        normalized, (mean, variance) = by_own(x, epsilon, gamma, beta)
        first, second = mean.double(), variance.double() + mean.double().square()
        rows = x.shape[1]
        if index not in self._sums:
            self._sums[index] = (torch.zeros_like(first), torch.zeros_like(second))
            self._rows[index] = 0
        self._sums[index][0].add_(first, alpha=rows)
        self._sums[index][1].add_(second, alpha=rows)
        self._rows[index] += rows
        return normalized

    def pooled(self, index: int, x: Tensor, epsilon: float, gamma: Tensor, beta: Tensor) -> Tensor:
        """The `Normalizer` by the statistics of all batches together."""
        mean, square = (total / self._rows[index] for total in self._sums[index])
        variance = (square - mean.square()).clamp(min=0.0)
        return scaled(x, mean.float(), variance.float(), epsilon, gamma, beta)
