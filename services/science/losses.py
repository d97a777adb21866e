"""The losses: what each is for, and how many outputs a network has under it."""

from typing import Literal

from services.science.datasets.base import Task

Loss = Literal["mae", "mse", "cross_entropy", "binary_cross_entropy"]

OF_TASK: dict[Task, tuple[Loss, ...]] = {
    "regression": ("mae", "mse"),
    "classification": ("cross_entropy", "binary_cross_entropy"),
}
"""The losses of each task; the first is its default."""


def classifies(loss: Loss) -> bool:
    """Whether the targets are class numbers, and accuracy is counted."""
    return loss in OF_TASK["classification"]


def legal_losses(task: Task, outputs: int) -> tuple[Loss, ...]:
    """The losses that fit a data set; `outputs` is 1, or its number of classes."""
    return tuple(loss for loss in OF_TASK[task] if loss != "binary_cross_entropy" or outputs == 2)


def network_outputs(loss: Loss, outputs: int) -> int:
    """Outputs of a network on a data set with so many: one logit for two classes under binary cross-entropy."""
    return 1 if loss == "binary_cross_entropy" else outputs
