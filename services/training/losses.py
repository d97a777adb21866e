"""The losses: for every trial, the mean over a batch's rows and outputs, and sums for the epoch row."""

from torch import Tensor
from torch.nn import functional

from services.science.losses import Loss


def row_losses(kind: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Loss of each row, averaged over its outputs.

    Args:
        kind: of the loss.
        outputs: ``[trials, rows, outputs]``; logits for cross-entropy, one for both of two classes if it is binary.
        targets: ``[trials, rows, outputs]``, or classes ``[trials, rows]``.

    Returns:
        ``[trials, rows]``.
    """
    if kind == "mae":
        return (outputs - targets).abs().mean(dim=-1)
    if kind == "mse":
        return (outputs - targets).square().mean(dim=-1)
    if kind == "binary_cross_entropy":
        logits = outputs.squeeze(-1)
        return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    trials, rows, classes = outputs.shape
    flat = functional.cross_entropy(outputs.reshape(-1, classes), targets.reshape(-1), reduction="none")
    return flat.view(trials, rows)


def correct(kind: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Rows per trial that get their class, ``[trials]``: that of the largest logit (the first of equals).

    A single logit stands for class 1 above zero, for class 0 otherwise.
    """
    if kind == "binary_cross_entropy":
        return ((outputs.squeeze(-1) > 0) == (targets == 1)).sum(dim=-1)
    return (outputs.argmax(dim=-1) == targets).sum(dim=-1)
