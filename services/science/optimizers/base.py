"""What every optimizer is: plain bounded numbers. The arithmetic on tensors belongs to the engine."""

from typing import Annotated, ClassVar

from pydantic import Field

from services.science.base import Member
from services.science.optimizers.schedules import ConstantSchedule, Schedule

Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
"""The share of a running mean that is kept at each step."""
Epsilon = Annotated[float, Field(gt=0.0, le=1.0)]
"""What keeps a quotient finite."""
Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
"""The share of the velocity that is kept at each step."""
WeightDecay = Annotated[float, Field(ge=0.0, le=100.0)]
"""Strength of the pull towards zero; every parameter decays, biases and batch norm included, as in PyTorch."""


class BaseOptimizer(Member):
    """An update rule: w is a parameter, g its gradient of the batch's mean loss, lr = learning_rate * factor(epoch).

    With `clip_norm`, the gradients of a trial are first scaled so that their joint Euclidean norm is at most
    `clip_norm`: g <- g min(1, clip_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ does.
    """

    learning_rate: float = Field(default=0.01, ge=0.0, le=1e30)
    schedule: Schedule = ConstantSchedule()
    clip_norm: float | None = Field(default=None, gt=0.0, le=1e9, description="Largest gradient norm of a trial.")

    state: ClassVar[tuple[str, ...]] = ()
    """The arrays kept beside every parameter, each of the parameter's own shape."""

    def learning_rate_at(self, epoch: int, epochs: int) -> float:
        """The learning rate of one epoch, 1-based."""
        return self.learning_rate * self.schedule.factor(epoch, epochs)
