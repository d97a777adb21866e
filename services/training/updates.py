"""The optimizers' arithmetic on a cohort: parameters and gradients ``[T, P]``, every number one per trial ``[T, 1]``.

The update rules are those of `services.science.optimizers`, which are PyTorch's.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from services.science.optimizers import BaseOptimizer

CLIP_EPSILON = 1e-6
"""Keeps the clipping factor finite, as in torch.nn.utils.clip_grad_norm_."""


class Update:
    """Moves the parameters of T trials against their gradients.

    All arithmetic and all moments are in the parameters' own precision.

    Attributes:
        moments: the arrays beside the parameters, each ``[T, P]``, by name.
        steps: how many batches have been taken.
    """

    kind: ClassVar[str]

    def __init__(self, optimizers: Sequence[BaseOptimizer], flat: Tensor, epochs: int) -> None:
        self.optimizers = tuple(optimizers)
        self.flat = flat
        self.epochs = epochs
        self.steps = 0
        self.moments: dict[str, Tensor] = {}
        self.learning_rate = self._column([0.0] * len(self.optimizers))
        self._weight_decay = self._numbers("weight_decay")
        limits = [optimizer.clip_norm for optimizer in self.optimizers]
        clipped = any(limit is not None for limit in limits)
        self._clip = self._column([float("inf") if x is None else x for x in limits]) if clipped else None

    def start_epoch(self, epoch: int) -> None:
        """Take the learning rates of an epoch, 1-based."""
        self.learning_rate = self._column([o.learning_rate_at(epoch, self.epochs) for o in self.optimizers])

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """Take one step; `gradient` may be overwritten."""
        self.steps += 1
        gradient = gradient.to(self.flat.dtype)
        if self._clip is not None:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient = gradient * (self._clip / (norm + CLIP_EPSILON)).clamp(max=1.0)
        self._step(gradient)

    @abstractmethod
    def _step(self, gradient: Tensor) -> None:
        raise NotImplementedError

    def _decayed(self, gradient: Tensor) -> Tensor:
        """The gradient with the pull towards zero added."""
        return gradient if self._weight_decay is None else gradient + self._weight_decay * self.flat

    def _column(self, values: Sequence[float]) -> Tensor:
        return self._rounded(torch.tensor(values, dtype=torch.float64, device=self.flat.device).unsqueeze(1))

    def _rounded(self, column: Tensor) -> Tensor:
        """Numbers worked out in float64, in the parameters' precision."""
        return column.to(self.flat.dtype)

    def _numbers(self, name: str) -> Tensor | None:
        """One field of every trial's optimizer, or None where it is 0 for all."""
        values = [getattr(optimizer, name) for optimizer in self.optimizers]
        return self._column(values) if any(values) else None


class SgdUpdate(Update):
    """v = momentum v + g; w -= lr v, or lr (g + momentum v) with Nesterov's form."""

    kind = "sgd"

    def __init__(self, optimizers: Sequence[BaseOptimizer], flat: Tensor, epochs: int) -> None:
        super().__init__(optimizers, flat, epochs)
        self._momentum = self._numbers("momentum")
        ahead = [bool(getattr(optimizer, "nesterov", False)) for optimizer in optimizers]
        self._nesterov = torch.tensor(ahead, device=flat.device).unsqueeze(1) if any(ahead) else None
        if self._momentum is not None:
            self.moments["velocity"] = torch.zeros_like(flat)

    def _step(self, gradient: Tensor) -> None:
        gradient = self._decayed(gradient)
        if self._momentum is not None:
            velocity = self.moments["velocity"].mul_(self._momentum).add_(gradient)
            if self._nesterov is None:
                gradient = velocity
            else:
                gradient = torch.where(self._nesterov, gradient + self._momentum * velocity, velocity)
        self.flat.addcmul_(gradient, self.learning_rate, value=-1.0)


class AdamUpdate(Update):
    """Adam with weight decay inside the gradient."""

    kind = "adam"
    decoupled: ClassVar[bool] = False

    def __init__(self, optimizers: Sequence[BaseOptimizer], flat: Tensor, epochs: int) -> None:
        super().__init__(optimizers, flat, epochs)
        betas = [[float(getattr(optimizer, name)) for optimizer in optimizers] for name in ("beta_1", "beta_2")]
        self._betas = [torch.tensor(values, dtype=torch.float64, device=flat.device).unsqueeze(1) for values in betas]
        self._take_1, self._take_2 = (self._rounded(1.0 - beta) for beta in self._betas)
        self._epsilon = self._column([float(getattr(optimizer, "epsilon")) for optimizer in optimizers])  # noqa: B009
        self.moments["first_moment"] = torch.zeros_like(flat)
        self.moments["second_moment"] = torch.zeros_like(flat)

    def _step(self, gradient: Tensor) -> None:
        if not self.decoupled:
            gradient = self._decayed(gradient)
        elif self._weight_decay is not None:
            self.flat.mul_(1.0 - self.learning_rate * self._weight_decay)
        # Bias corrections in float64: 1 - beta^t loses half its digits in float32 at the first steps.
        bias_1, bias_2 = (1.0 - beta**self.steps for beta in self._betas)
        rate, root = self._rounded(bias_2.sqrt() / bias_1) * self.learning_rate, self._rounded(bias_2.sqrt())
        # Everything in the gradient's place: in a new one each, half of the time would go to the memory.
        first = self.moments["first_moment"].lerp_(gradient, self._take_1)
        second = self.moments["second_moment"].lerp_(gradient.square_(), self._take_2)
        divisor = torch.sqrt(second, out=gradient).add_(self._epsilon * root)
        self.flat.addcmul_(torch.div(first, divisor, out=gradient), rate, value=-1.0)


class AdamWUpdate(AdamUpdate):
    """Adam with decoupled weight decay."""

    kind = "adamw"
    decoupled = True


class RmsPropUpdate(Update):
    """v = decay v + (1 - decay) g^2; the step is g / (sqrt(v) + epsilon), with momentum summed up first."""

    kind = "rmsprop"

    def __init__(self, optimizers: Sequence[BaseOptimizer], flat: Tensor, epochs: int) -> None:
        super().__init__(optimizers, flat, epochs)
        decays = [float(getattr(optimizer, "decay")) for optimizer in optimizers]  # noqa: B009
        self._keep, self._take = self._column(decays), self._column([1.0 - decay for decay in decays])
        self._epsilon = self._column([float(getattr(optimizer, "epsilon")) for optimizer in optimizers])  # noqa: B009
        self._momentum = self._numbers("momentum")
        self.moments["second_moment"] = torch.zeros_like(flat)
        if self._momentum is not None:
            self.moments["velocity"] = torch.zeros_like(flat)

    def _step(self, gradient: Tensor) -> None:
        gradient = self._decayed(gradient)
        second = self.moments["second_moment"].mul_(self._keep).addcmul_(gradient * gradient, self._take)
        step = gradient / second.sqrt().add_(self._epsilon)
        if self._momentum is not None:
            step = self.moments["velocity"].mul_(self._momentum).add_(step)
        self.flat.addcmul_(step, self.learning_rate, value=-1.0)


class AdagradUpdate(Update):
    """s = s + g^2; w -= lr / (1 + (t - 1) learning_rate_decay) g / (sqrt(s) + epsilon)."""

    kind = "adagrad"

    def __init__(self, optimizers: Sequence[BaseOptimizer], flat: Tensor, epochs: int) -> None:
        super().__init__(optimizers, flat, epochs)
        self._slowing = self._numbers("learning_rate_decay")
        self._epsilon = self._column([float(getattr(optimizer, "epsilon")) for optimizer in optimizers])  # noqa: B009
        start = self._column([float(getattr(optimizer, "initial_accumulator")) for optimizer in optimizers])  # noqa: B009
        self.moments["sum_of_squares"] = torch.zeros_like(flat) + start

    def _step(self, gradient: Tensor) -> None:
        gradient = self._decayed(gradient)
        rate = self.learning_rate
        if self._slowing is not None:
            rate = rate / (1.0 + (self.steps - 1) * self._slowing)
        total = self.moments["sum_of_squares"].addcmul_(gradient, gradient)
        self.flat.addcdiv_(gradient * rate, total.sqrt().add_(self._epsilon), value=-1.0)


UPDATES: dict[str, type[Update]] = {
    update.kind: update for update in (SgdUpdate, AdamUpdate, AdamWUpdate, RmsPropUpdate, AdagradUpdate)
}
"""The update of every optimizer of the catalogue, by kind."""
