"""What the kernel is asked to train, and whether it can."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.training.native.members import LOSSES, Member, encode_activation, encode_optimizer


@dataclass(frozen=True)
class NativeDescription:
    """A cohort of multilayer perceptrons.

    Attributes:
        widths: inputs, hidden widths, outputs.
        loss: one of `LOSSES`; a row's loss is the mean over its outputs. Binary cross-entropy has one output.
        batch_size: rows of a batch; the last, smaller batch of an epoch is used.
        activations: per trial, the hidden layers' activation as its object.
        optimizers: per trial, the optimizer as its object; `clip_norm` among its fields.
        huber_delta: where the Huber loss turns linear.
    """

    widths: tuple[int, ...]
    loss: str
    batch_size: int
    activations: Sequence[Member]
    optimizers: Sequence[Member]
    huber_delta: float = 1.0


def unsupported(description: NativeDescription) -> str | None:
    """Why the kernel cannot train this cohort, or None if it can."""
    if len(description.widths) < 2 or min(description.widths) < 1:
        return f"widths must be two or more numbers of at least 1, not {description.widths}"
    if reason := _unsupported_loss(description.loss, description.widths[-1]):
        return reason
    if description.batch_size < 1:
        return f"batch_size must be at least 1, not {description.batch_size}"
    if not description.activations or len(description.activations) != len(description.optimizers):
        return "a cohort needs one activation and one optimizer per trial"
    try:
        for activation, optimizer in zip(description.activations, description.optimizers, strict=True):
            encode_activation(activation)
            encode_optimizer(optimizer)
    except ValueError as error:
        return str(error)
    return None


def _unsupported_loss(loss: str, outputs: int) -> str | None:
    if loss not in LOSSES:
        return f"loss {loss!r} is not in the kernel; it has {', '.join(LOSSES)}"
    if loss == "binary_cross_entropy" and outputs != 1:
        return f"binary cross-entropy has one output for both classes, not {outputs}"
    return None


def supports(description: NativeDescription) -> bool:
    """Whether the kernel can train this cohort; `unsupported` says why not."""
    return unsupported(description) is None
