"""Under the absolute loss a residual's sign is its gradient: where float32 cannot tell it, float64 does."""

from collections.abc import Callable

import torch
from torch import Tensor

ROUNDINGS = 64.0
"""A residual smaller than so many roundings of the largest target in float32 is not sure of its sign."""

Exact = Callable[[int], Tensor]
"""Gives one trial's outputs ``[rows, outputs]`` in float64."""


class SureSigns:
    """Residuals whose sign is that of float64.

    Args:
        targets: those of the training rows; their largest sets how near to zero a residual is doubtful.
    """

    def __init__(self, targets: Tensor) -> None:
        largest = max(1.0, float(targets.abs().max()))
        self._near = ROUNDINGS * torch.finfo(torch.float32).eps / 2.0 * largest

    def settle(self, outputs: Tensor, targets: Tensor, exact: Exact) -> tuple[Tensor, Tensor]:
        """Outputs and targets ``[trials, rows, outputs]`` with the same differences, but of the right sign.

        Args:
            outputs: what float32 gives; the gradient is theirs.
            targets: of the same shape.
            exact: asked for the trials with a doubtful residual.
        """
        rough = outputs.detach() - targets
        doubtful = rough.abs() <= self._near
        if not doubtful.any():
            return outputs, targets
        sure = rough.clone()
        for trial in doubtful.flatten(1).any(dim=1).nonzero().flatten().tolist():
            sure[trial] = exact(trial) - targets[trial]
        # The values of `sure` with the gradient of the outputs; added to the targets they would be rounded to nothing.
        return sure + (outputs - outputs.detach()), torch.zeros_like(targets)
