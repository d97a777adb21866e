"""Batch normalisation of images against NumPy in float64 and against finite differences."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from services.science.streams import Purpose, stream
from services.training.image_norm import ImageNorm

EPSILON = 1e-3


def images(*shape: int) -> NDArray[np.float64]:
    """What relu leaves of normal numbers, far from zero."""
    return np.maximum(stream(21, Purpose.SYNTHETIC).normal(size=shape), 0.0) + 3.0


def expected(x: NDArray[np.float64], gamma: NDArray[np.float64], dy: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Output, mean, variance and the gradients of x, gamma and beta; Ioffe & Szegedy 2015, with beta 0.5."""
    axes = (0, 1, 2)
    mean, variance = x.mean(axes), x.var(axes)
    plain = (x - mean) / np.sqrt(variance + EPSILON)
    d_gamma, d_beta = (dy * plain).sum(axes), dy.sum(axes)
    count = x[..., 0].size
    d_x = gamma / np.sqrt(variance + EPSILON) * (dy - d_beta / count - plain * d_gamma / count)
    return [gamma * plain + 0.5, mean, variance, d_x, d_gamma, d_beta]


@pytest.mark.parametrize("shape", [(40, 32, 32, 8), (3, 9, 8, 4), (1, 7, 5, 2), (6, 1, 4, 3)])
@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_as_accurate_as_float64(shape: tuple[int, ...], threads: int) -> None:
    x = images(*shape).astype(np.float32)
    gamma = images(shape[-1]).astype(np.float32)
    dy = stream(23, Purpose.SYNTHETIC).normal(size=shape).astype(np.float32)
    leaves = [torch.from_numpy(array).requires_grad_() for array in (x, gamma, np.full(shape[-1], 0.5, np.float32))]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        normalized, mean, variance = ImageNorm.apply(*leaves, EPSILON)
        gradients = torch.autograd.grad(normalized, leaves, torch.from_numpy(dy))
    finally:
        torch.set_num_threads(before)
    by_hand = expected(x.astype(np.float64), gamma.astype(np.float64), dy.astype(np.float64))
    sizes = [np.abs(exact).max() for exact in by_hand[:4]]
    sizes += [np.abs(dy).sum() / shape[-1]] * 2  # what the last two add up, sign or not
    names = ("output", "mean", "variance", "d_x", "d_gamma", "d_beta")
    for name, ours, exact, size in zip(
        names, (normalized.detach(), mean, variance, *gradients), by_hand, sizes, strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), exact, rtol=0.0, atol=2e-6 * size, err_msg=name)


def test_its_gradient_is_that_of_its_values() -> None:
    rng = stream(22, Purpose.SYNTHETIC)
    x, gamma, beta = (torch.from_numpy(rng.normal(size=size)).requires_grad_() for size in ((3, 4, 5, 2), 2, 2))
    assert torch.autograd.gradcheck(lambda *leaves: ImageNorm.apply(*leaves, EPSILON)[0], (x, gamma, beta))


def test_an_image_seen_from_the_side_is_the_same() -> None:
    x = torch.from_numpy(images(5, 6, 8, 3))
    one = torch.ones(3, dtype=torch.float64)
    straight = ImageNorm.apply(x, one, 0.0 * one, EPSILON)[0]
    turned = ImageNorm.apply(x.transpose(1, 2), one, 0.0 * one, EPSILON)[0].transpose(1, 2)
    torch.testing.assert_close(straight, turned, rtol=1e-12, atol=1e-12)
