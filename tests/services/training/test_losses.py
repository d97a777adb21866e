"""Losses and their gradients against closed forms in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax

from services.science.losses import Loss
from services.science.streams import Purpose, stream
from services.training.losses import correct, row_losses


@given(seed=st.integers(0, 10_000), trials=st.integers(1, 3), rows=st.integers(1, 5), width=st.integers(1, 4))
@pytest.mark.parametrize("kind", ["mae", "mse"])
def test_regression_losses(kind: Loss, seed: int, trials: int, rows: int, width: int) -> None:
    rng = stream(seed, Purpose.SYNTHETIC)
    z, y = rng.normal(size=(2, trials, rows, width))
    outputs = torch.tensor(z, requires_grad=True)
    losses = row_losses(kind, outputs, torch.tensor(y))
    (gradient,) = torch.autograd.grad(losses.mean(dim=1).sum(), outputs)
    expected = np.abs(z - y) if kind == "mae" else (z - y) ** 2
    slope = np.sign(z - y) if kind == "mae" else 2 * (z - y)
    np.testing.assert_allclose(losses.detach().numpy(), expected.mean(axis=2), rtol=1e-12)
    np.testing.assert_allclose(gradient.numpy(), slope / (rows * width), rtol=1e-12)


@given(seed=st.integers(0, 10_000), trials=st.integers(1, 3), rows=st.integers(1, 5), classes=st.integers(2, 5))
def test_cross_entropy(seed: int, trials: int, rows: int, classes: int) -> None:
    rng = stream(seed, Purpose.SYNTHETIC)
    z = rng.normal(size=(trials, rows, classes)) * 5.0
    y = rng.integers(0, classes, size=(trials, rows))
    outputs = torch.tensor(z, requires_grad=True)
    losses = row_losses("cross_entropy", outputs, torch.tensor(y))
    (gradient,) = torch.autograd.grad(losses.mean(dim=1).sum(), outputs)
    expected = -np.take_along_axis(log_softmax(z, axis=2), y[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient.numpy(), (softmax(z, axis=2) - np.eye(classes)[y]) / rows, atol=1e-12)
    np.testing.assert_array_equal(
        correct("cross_entropy", outputs, torch.tensor(y)).numpy(), (z.argmax(axis=2) == y).sum(axis=1)
    )


@given(seed=st.integers(0, 10_000), trials=st.integers(1, 3), rows=st.integers(1, 5), scale=st.floats(0.1, 100.0))
def test_binary_cross_entropy(seed: int, trials: int, rows: int, scale: float) -> None:
    rng = stream(seed, Purpose.SYNTHETIC)
    z = rng.normal(size=(trials, rows, 1)) * scale
    y = rng.integers(0, 2, size=(trials, rows))
    outputs = torch.tensor(z, requires_grad=True)
    losses = row_losses("binary_cross_entropy", outputs, torch.tensor(y))
    (gradient,) = torch.autograd.grad(losses.mean(dim=1).sum(), outputs)
    expected = np.logaddexp(0.0, np.where(y == 1, -z[..., 0], z[..., 0]))
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient.numpy()[..., 0], (expit(z[..., 0]) - y) / rows, rtol=1e-10, atol=1e-12)
    two = torch.cat([torch.zeros_like(outputs), outputs], dim=-1)
    same = row_losses("cross_entropy", two, torch.tensor(y))
    np.testing.assert_allclose(losses.detach().numpy(), same.detach().numpy(), rtol=1e-9, atol=1e-12)
    hits = correct("binary_cross_entropy", outputs, torch.tensor(y))
    np.testing.assert_array_equal(hits.numpy(), ((z[..., 0] > 0) == (y == 1)).sum(axis=1))


def test_a_zero_residual_has_no_gradient_under_mae() -> None:
    outputs = torch.zeros(1, 2, 1, requires_grad=True)
    losses = row_losses("mae", outputs, torch.zeros(1, 2, 1))
    assert torch.autograd.grad(losses.sum(), outputs)[0].abs().max() == 0.0
