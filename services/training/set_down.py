"""An epoch that is set down between two batches, as arrays by slot: what goes into a checkpoint beside the engine's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.training.engine import EpochSums, LayerParameters, State

BATCHES = "epoch.batches"
"""Batches of the epoch that are done, ``[T]``. A state that has it lies inside an epoch."""
LOSS, CORRECT, SECONDS = "epoch.loss", "epoch.correct", "epoch.seconds"
BEFORE = "before."
"""Weights and biases as the epoch found them, where the layers are measured after it."""


@dataclass(frozen=True)
class Begun:
    """How far an epoch has come.

    Attributes:
        sums: over the rows used so far.
        seconds: of training.
        before: weights and biases at the epoch's beginning, where they are needed at its end.
    """

    sums: EpochSums
    seconds: float
    before: tuple[LayerParameters, ...] | None

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything by name; the first axis of every array is the slot."""
        arrays: dict[str, NDArray[np.generic]] = {
            BATCHES: self.sums.batches.copy(),
            LOSS: self.sums.loss.copy(),
            SECONDS: np.full(len(self.sums.batches), self.seconds),
        }
        if self.sums.correct is not None:
            arrays[CORRECT] = self.sums.correct.copy()
        for layer in self.before or ():
            arrays[f"{BEFORE}{layer.name}.weight"], arrays[f"{BEFORE}{layer.name}.bias"] = layer.weight, layer.bias
        return arrays


def parted(state: State) -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """What `Begun.arrays` gave, empty where no epoch had begun, and the rest of a state."""
    own = {name: array for name, array in state.items() if name.startswith(("epoch.", BEFORE))}
    return own, {name: array for name, array in state.items() if name not in own}


def begun_from(arrays: State, beginning: EpochSums, before: Sequence[LayerParameters] | None) -> Begun:
    """Take over what `Begun.arrays` gave.

    Args:
        arrays: by name.
        beginning: the sums at the beginning of this cohort's epochs.
        before: layers of this cohort, where their values at the epoch's beginning are needed; else None.

    Raises:
        ValueError: arrays that do not fit this cohort.
    """
    names = {BATCHES, LOSS, SECONDS} | ({CORRECT} if beginning.correct is not None else set())
    shapes = dict.fromkeys(names, beginning.loss.shape)
    for layer in before or ():
        shapes |= {f"{BEFORE}{layer.name}.weight": layer.weight.shape, f"{BEFORE}{layer.name}.bias": layer.bias.shape}
    if arrays.keys() != shapes.keys():
        odd = sorted(arrays.keys() ^ shapes.keys())
        raise ValueError(f"the state of an epoch does not fit this cohort: it differs in {', '.join(odd[:5])}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"the state's {name} has shape {arrays[name].shape}, this cohort's {shape}")
    batches, most = np.array(arrays[BATCHES], dtype=np.int64), beginning.batches_in_all
    if batches.min() < 0 or batches.max() > most:
        raise ValueError(f"the state's {BATCHES} must lie in 0..{most}, not {batches.min()}..{batches.max()}")
    loss = np.array(arrays[LOSS], dtype=np.float64)
    correct = np.array(arrays[CORRECT], dtype=np.float64) if CORRECT in names else None
    sums = replace(beginning, loss=loss, correct=correct, batches=batches)
    weights = None if before is None else tuple(_layer(arrays, layer.name) for layer in before)
    return Begun(sums, float(np.asarray(arrays[SECONDS], dtype=np.float64).max()), weights)


def _layer(arrays: State, name: str) -> LayerParameters:
    weight, bias = (np.array(arrays[f"{BEFORE}{name}.{part}"], dtype=np.float32) for part in ("weight", "bias"))
    return LayerParameters(name, weight, bias)
