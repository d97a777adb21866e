"""What the kernel is asked to train, and whether it can."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.training.native.between import Between
from services.training.native.layout import Layout
from services.training.native.members import GATES, LEARNED, LOSSES, Member, encode_activation, encode_optimizer


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
        between: what stands between the dense layers.
    """

    widths: tuple[int, ...]
    loss: str
    batch_size: int
    activations: Sequence[Member]
    optimizers: Sequence[Member]
    huber_delta: float = 1.0
    between: Between = field(default_factory=Between)

    @property
    def gated(self) -> bool:
        """Whether hidden units are gated: all of a cohort's or none."""
        return bool(self.activations) and self.activations[0].get("kind") in GATES

    @property
    def learned(self) -> bool:
        """Whether any trial's activation has a trained slope."""
        return any(activation.get("kind") in LEARNED for activation in self.activations)

    @property
    def plain(self) -> bool:
        """Whether there are dense layers and fixed activations only."""
        return self.between.empty and not self.gated and not self.learned

    @property
    def layout(self) -> Layout:
        """Where a trial's numbers lie."""
        normed = self.between.norm != "none"
        moving = self.between.norm == "batch"
        return Layout(self.widths, 1 + self.gated, (normed, self.between.after), moving, self.learned)


def unsupported(description: NativeDescription) -> str | None:
    """Why the kernel cannot train this cohort, or None if it can."""
    if len(description.widths) < 2 or min(description.widths) < 1:
        return f"widths must be two or more numbers of at least 1, not {description.widths}"
    if reason := _unsupported_loss(description.loss, description.widths[-1]):
        return reason
    if description.batch_size < 1:
        return f"batch_size must be at least 1, not {description.batch_size}"
    if not 0.0 <= description.between.dropout < 1.0:
        return f"dropout must be at least 0 and less than 1, not {description.between.dropout}"
    return _unsupported_members(description.activations, description.optimizers)


def _unsupported_members(activations: Sequence[Member], optimizers: Sequence[Member]) -> str | None:
    if not activations or len(activations) != len(optimizers):
        return "a cohort needs one activation and one optimizer per trial"
    if len({activation.get("kind") in GATES for activation in activations}) > 1:
        return "gated and plain activations need weights of different shapes and cannot share a cohort"
    try:
        for activation, optimizer in zip(activations, optimizers, strict=True):
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
