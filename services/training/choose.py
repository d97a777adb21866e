"""Which engine trains a cohort."""

import logging
from collections.abc import Sequence
from typing import Literal

from services.training.eager import EagerEngine
from services.training.engine import CohortDescription, Engine, LayerParameters, Rows
from services.training.memory import keep_freed
from services.training.native.engine import NativeEngine, unsupported

log = logging.getLogger(__name__)

Choice = Literal["auto", "native", "eager"]


def build_engine(
    choice: Choice,
    description: CohortDescription,
    initial: Sequence[LayerParameters],
    rows: Rows,
    *,
    device: str,
    threads: int,
) -> Engine:
    """Build the engine asked for; ``auto`` is the compiled one where it can train this cohort, else PyTorch.

    Raises:
        ValueError: ``native`` was asked for and cannot train this cohort here, or an unknown choice.
    """
    if choice not in ("auto", "native", "eager"):
        raise ValueError(f"engine must be auto, native or eager, not {choice!r}")
    if choice == "eager" or (choice == "auto" and device != "cpu"):
        return _eager(description, initial, rows, device, threads)
    reason = f"the kernel runs on the cpu, not on {device}" if device != "cpu" else unsupported(description)
    if reason is None:
        return NativeEngine(description, initial, rows, threads)
    if choice == "native":
        raise ValueError(f"engine 'native' cannot train this cohort: {reason}")
    log.info("training with PyTorch: %s", reason)
    return _eager(description, initial, rows, device, threads)


def _eager(
    description: CohortDescription, initial: Sequence[LayerParameters], rows: Rows, device: str, threads: int
) -> EagerEngine:
    engine = EagerEngine(description, initial, rows, device, threads)
    if device == "cpu" and engine.network.images:
        keep_freed()
    return engine
