"""Learning-rate schedules: by what factor an epoch's learning rate differs from the optimizer's own."""

import math
from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from services.science.base import Member, named
from services.science.catalogue import by_kind


class BaseSchedule(Member):
    """A factor per epoch, after an optional linear warm-up.

    During the warm-up epoch e of w has the factor e / (w + 1), so that epoch w + 1 is the first at full rate. What a
    schedule calls time starts after the warm-up.
    """

    warmup_epochs: int = Field(default=0, ge=0, le=10_000, description="Epochs of linear warm-up before the schedule.")

    def factor(self, epoch: int, epochs: int) -> float:
        """The factor of one epoch.

        Args:
            epoch: 1-based.
            epochs: how many epochs the trial runs.

        Raises:
            ValueError: an epoch outside 1..epochs.
        """
        if not 1 <= epoch <= epochs:
            raise ValueError(f"epoch must be between 1 and {epochs}, not {epoch}")
        if epoch <= self.warmup_epochs:
            return epoch / (self.warmup_epochs + 1)
        return self._after_warmup(epoch - self.warmup_epochs - 1, epochs - self.warmup_epochs)

    @abstractmethod
    def _after_warmup(self, elapsed: int, total: int, /) -> float:
        """The factor `elapsed` epochs after the warm-up, of `total` such epochs."""
        raise NotImplementedError


class ConstantSchedule(BaseSchedule):
    """The same learning rate at every epoch."""

    kind: Literal["constant"] = "constant"

    formula = "1"
    references = ("what Keras and PyTorch do unless told otherwise",)

    def _after_warmup(self, _elapsed: int, _total: int, /) -> float:
        return 1.0


class StepSchedule(BaseSchedule):
    """Multiply by gamma every `step_size` epochs (PyTorch's StepLR)."""

    kind: Literal["step"] = "step"
    step_size: int = Field(default=30, ge=1, le=10_000, description="Epochs between two drops.")
    gamma: float = Field(default=0.1, gt=0.0, le=1.0, description="Factor of one drop.")

    formula = "gamma ** floor(t / step_size)"
    references = (
        "torch.optim.lr_scheduler.StepLR",
        "He, Zhang, Ren & Sun 2016, Deep residual learning for image recognition, section 3.4",
    )

    def _after_warmup(self, elapsed: int, _total: int, /) -> float:
        return self.gamma ** (elapsed // self.step_size)


class ExponentialSchedule(BaseSchedule):
    """Multiply by gamma every epoch (PyTorch's ExponentialLR)."""

    kind: Literal["exponential"] = "exponential"
    gamma: float = Field(default=0.95, gt=0.0, le=1.0, description="Factor of one epoch.")

    formula = "gamma ** t"
    references = ("torch.optim.lr_scheduler.ExponentialLR",)

    def _after_warmup(self, elapsed: int, _total: int, /) -> float:
        return self.gamma**elapsed


class LinearSchedule(BaseSchedule):
    """Fall in a straight line from 1 towards `final_fraction`, which the epoch after the last would reach."""

    kind: Literal["linear"] = "linear"
    final_fraction: float = Field(default=0.0, ge=0.0, le=1.0, description="Factor at the end of the fall.")

    formula = "1 - (1 - final_fraction) t / T"
    references = ("torch.optim.lr_scheduler.LinearLR, from 1 to final_fraction",)

    def _after_warmup(self, elapsed: int, total: int, /) -> float:
        return 1.0 - (1.0 - self.final_fraction) * elapsed / total


class CosineSchedule(BaseSchedule):
    """Half a cosine from 1 towards `final_fraction`, which the epoch after the last would reach.

    PyTorch's CosineAnnealingLR with T_max = epochs, without restarts.
    """

    kind: Literal["cosine"] = "cosine"
    final_fraction: float = Field(default=0.0, ge=0.0, le=1.0, description="Factor at the end of the half cosine.")

    formula = "final_fraction + (1 - final_fraction) (1 + cos(pi t / T)) / 2"
    references = ("Loshchilov & Hutter 2017, SGDR: Stochastic gradient descent with warm restarts, eq. 5",)

    def _after_warmup(self, elapsed: int, total: int, /) -> float:
        wave = (1.0 + math.cos(math.pi * elapsed / total)) / 2.0
        return self.final_fraction + (1.0 - self.final_fraction) * wave


AnySchedule = ConstantSchedule | CosineSchedule | ExponentialSchedule | LinearSchedule | StepSchedule

Schedule = Annotated[AnySchedule, Field(discriminator="kind"), BeforeValidator(named)]
"""A schedule's object, or its bare name."""

SCHEDULES = by_kind(AnySchedule, BaseSchedule)
"""Every schedule by its kind."""
