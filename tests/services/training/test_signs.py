"""Residuals whose sign float32 cannot tell."""

import pytest
import torch
from torch import Tensor

from services.training.signs import SureSigns

TARGETS = torch.tensor([[[0.5], [-2.0], [3.0]], [[0.5], [-2.0], [3.0]]])


def never(_trial: int) -> Tensor:
    raise AssertionError("nothing is in doubt")


def test_what_is_not_in_doubt_stays_as_it_is() -> None:
    outputs = TARGETS + 0.01
    assert SureSigns(TARGETS).settle(outputs, TARGETS, never) == (outputs, TARGETS)


@pytest.mark.parametrize("residual", [3e-9, -3e-9, 0.0])
def test_a_doubtful_trial_has_the_differences_of_float64_and_the_gradient_of_float32(residual: float) -> None:
    weight = torch.ones((), requires_grad=True)
    rough = TARGETS.clone()
    rough[0] += 0.01
    rough[1, :2] += 0.1
    rough[1, 2] -= 2e-7
    settled: list[int] = []

    def exact(trial: int) -> Tensor:
        settled.append(trial)
        outputs = rough[trial].double()
        outputs[2] = TARGETS[trial, 2].double() + residual
        return outputs

    outputs, targets = SureSigns(TARGETS).settle(rough * weight, TARGETS, exact)
    assert settled == [1]
    difference = outputs - targets
    assert difference[1, 2].item() == pytest.approx(residual, rel=1e-6)
    torch.testing.assert_close(difference[0], rough[0] - TARGETS[0], rtol=0.0, atol=0.0)
    (gradient,) = torch.autograd.grad(difference.abs().sum(), weight)
    signs = torch.sign(rough - TARGETS)
    signs[1, 2] = float(torch.sign(torch.tensor(residual)))
    torch.testing.assert_close(gradient, (signs * rough).sum())


def test_larger_targets_put_larger_residuals_in_doubt() -> None:
    settled: list[int] = []

    def exact(trial: int) -> Tensor:
        settled.append(trial)
        return TARGETS[trial].double()

    outputs = TARGETS + 1e-4
    SureSigns(TARGETS).settle(outputs, TARGETS, exact)
    assert settled == []
    SureSigns(TARGETS * 100.0).settle(outputs, TARGETS, exact)
    assert settled == [0, 1]


def test_a_trial_that_has_diverged_is_not_asked() -> None:
    outputs = torch.full_like(TARGETS, torch.nan)
    assert SureSigns(TARGETS).settle(outputs, TARGETS, never)[0] is outputs
