"""The losses: for every trial, the mean over a batch's rows and outputs, and sums for the epoch row."""

from torch import Tensor
from torch.nn import functional


def row_losses(kind: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """Loss of each row, averaged over its outputs.

    Args:
        kind: ``mae``, ``mse`` or ``cross_entropy``.
        outputs: ``[trials, rows, outputs]``; logits for cross-entropy.
        targets: ``[trials, rows, outputs]``, or classes ``[trials, rows]``.

    Returns:
        ``[trials, rows]``.
    """
    if kind == "mae":
        return (outputs - targets).abs().mean(dim=-1)
    if kind == "mse":
        return (outputs - targets).square().mean(dim=-1)
    trials, rows, classes = outputs.shape
    flat = functional.cross_entropy(outputs.reshape(-1, classes), targets.reshape(-1), reduction="none")
    return flat.view(trials, rows)


def correct(outputs: Tensor, targets: Tensor) -> Tensor:
    """Rows per trial whose largest logit (the first of equals) is their class, ``[trials]``."""
    return (outputs.argmax(dim=-1) == targets).sum(dim=-1)
