"""Schedules against PyTorch's, and the warm-up's arithmetic."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch.optim import lr_scheduler

from services.science.optimizers import SCHEDULES, BaseSchedule, Optimizer
from services.science.optimizers.base import BaseOptimizer
from services.science.optimizers.schedules import Schedule

ADAPTER: TypeAdapter[BaseSchedule] = TypeAdapter(Schedule)
OPTIMIZER: TypeAdapter[BaseOptimizer] = TypeAdapter(Optimizer)
EPOCHS = 20


@pytest.mark.parametrize(
    ("spec", "theirs"),
    [
        ("constant", partial(lr_scheduler.ConstantLR, factor=1.0)),
        ({"kind": "step", "step_size": 6, "gamma": 0.3}, partial(lr_scheduler.StepLR, step_size=6, gamma=0.3)),
        ({"kind": "exponential", "gamma": 0.9}, partial(lr_scheduler.ExponentialLR, gamma=0.9)),
        ("cosine", partial(lr_scheduler.CosineAnnealingLR, T_max=EPOCHS)),
        (
            {"kind": "cosine", "final_fraction": 0.25},
            partial(lr_scheduler.CosineAnnealingLR, T_max=EPOCHS, eta_min=0.025),
        ),
        (
            {"kind": "linear", "final_fraction": 0.1},
            partial(lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.1, total_iters=EPOCHS),
        ),
    ],
    ids=str,
)
def test_without_warm_up_a_schedule_is_torchs(spec: object, theirs: Callable[[Any], Any]) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = theirs(optimizer)
    rates: list[float] = []
    for _ in range(EPOCHS):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    ours = ADAPTER.validate_python(spec)
    assert [0.1 * ours.factor(epoch, EPOCHS) for epoch in range(1, EPOCHS + 1)] == pytest.approx(rates, rel=1e-9)


@pytest.mark.parametrize("kind", list(SCHEDULES))
def test_a_warm_up_rises_in_equal_steps_and_then_the_schedule_starts(kind: str) -> None:
    plain = ADAPTER.validate_python(kind)
    warmed = ADAPTER.validate_python({"kind": kind, "warmup_epochs": 4})
    assert [warmed.factor(epoch, EPOCHS) for epoch in range(1, 5)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    rest = [warmed.factor(epoch, EPOCHS) for epoch in range(5, EPOCHS + 1)]
    assert rest == [plain.factor(epoch, EPOCHS - 4) for epoch in range(1, EPOCHS - 3)]
    assert rest[0] == 1.0


@pytest.mark.parametrize("kind", list(SCHEDULES))
def test_factors_stay_between_zero_and_one_even_where_the_warm_up_never_ends(kind: str) -> None:
    for warmup in (0, 3, 50):
        schedule = ADAPTER.validate_python({"kind": kind, "warmup_epochs": warmup})
        for epochs in (1, 2, 40):
            factors = [schedule.factor(epoch, epochs) for epoch in range(1, epochs + 1)]
            assert all(0.0 < factor <= 1.0 for factor in factors)


@pytest.mark.parametrize("epoch", [0, 21])
def test_an_epoch_outside_the_trial_is_refused(epoch: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and 20, not {epoch}"):
        ADAPTER.validate_python("cosine").factor(epoch, EPOCHS)


def test_the_learning_rate_is_the_optimizers_times_the_factor() -> None:
    optimizer = OPTIMIZER.validate_python({"kind": "adam", "schedule": {"kind": "step", "step_size": 1, "gamma": 0.5}})
    assert [optimizer.learning_rate_at(epoch, 3) for epoch in (1, 2, 3)] == [0.001, 0.0005, 0.00025]
