"""What a training engine is: it takes a described cohort through epochs and hands back plain NumPy numbers."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from services.science.activations import BaseActivation
from services.science.initializers import BaseInitializer
from services.science.losses import Loss, classifies
from services.science.models import AnyModel
from services.science.models.layers import Stage, WeightLayer
from services.science.optimizers import BaseOptimizer

State = Mapping[str, NDArray[np.generic]]
"""Everything an engine needs to go on, by name; every array's first axis is the slot."""

Tick = Callable[[float], bool]
"""Called between two batches with the share of the epoch that is done; true asks the engine to set the work down."""


@dataclass(frozen=True)
class TrialPlan:
    """One trial of a cohort: its arm's members and its seed."""

    activation: BaseActivation
    initializer: BaseInitializer
    optimizer: BaseOptimizer
    seed: int


@dataclass(frozen=True)
class CohortDescription:
    """The trials trained together, in slot order, and all they share.

    The trials have the optimizer's kind, the batch size and the activations' width factor in common; everything else
    of an arm may differ. `outputs` are those of the network: one for both of two classes under binary cross-entropy.
    """

    trials: tuple[TrialPlan, ...]
    model: AnyModel
    loss: Loss
    input_shape: tuple[int, ...]
    outputs: int
    batch_size: int
    epochs: int

    @property
    def classifies(self) -> bool:
        """Whether the targets are class numbers, and accuracy is counted."""
        return classifies(self.loss)

    @property
    def inputs(self) -> int:
        """Features of one row, flattened."""
        return math.prod(self.input_shape)

    @property
    def width_factor(self) -> int:
        """Pre-activations per unit: 2 for gated linear units.

        Raises:
            ValueError: gated and plain activations in one cohort.
        """
        factors = {trial.activation.width_factor for trial in self.trials}
        if len(factors) != 1:
            raise ValueError("gated and plain activations need weights of different shapes and cannot share a cohort")
        return factors.pop()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The layers that own weights with what follows each, from the input to the output."""
        return self.model.stages(self.input_shape, self.outputs, self.width_factor)

    @property
    def weight_layers(self) -> tuple[WeightLayer, ...]:
        """The layers that own weights, from the input to the output."""
        return tuple(stage.layer for stage in self.stages)


@dataclass(frozen=True)
class Rows:
    """Training and validation rows: float32 features, float32 targets ``[n, outputs]`` or int64 classes ``[n]``."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.generic]
    x_validation: NDArray[np.float32]
    y_validation: NDArray[np.generic]


@dataclass(frozen=True)
class EpochSums:
    """What an epoch's training rows have added up to so far, per slot, in float64.

    Attributes:
        rows: of a whole epoch.
        loss: ``[T]``.
        correct: ``[T]``; None for a regression.
        batches: how many of each slot are done, int64 ``[T]``; slots may stand at different ones.
        batch_size: rows of a batch; the last may be shorter.
    """

    rows: int
    loss: NDArray[np.float64]
    correct: NDArray[np.float64] | None
    batches: NDArray[np.int64]
    batch_size: int

    @property
    def batches_in_all(self) -> int:
        """Batches of a whole epoch."""
        return -(-self.rows // self.batch_size)

    @property
    def used(self) -> NDArray[np.int64]:
        """Rows that each slot is done with, ``[T]``."""
        return np.minimum(self.batches * self.batch_size, self.rows)

    @property
    def whole(self) -> bool:
        """Whether every slot has come to the end of the epoch."""
        return bool((self.used == self.rows).all())

    @property
    def share(self) -> float:
        """The share of the epoch that is done."""
        return float(self.used.sum()) / (len(self.batches) * self.rows)


Reach = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Smallest and largest output per slot."""


@dataclass(frozen=True)
class EvaluationSums:
    """What the validation rows added up to, per slot, in float64: `absolute` and `squared` errors for regression.

    `reach` has the smallest and the largest output of a regression. `others` has the same sums under other batch norm
    statistics, by their names.
    """

    rows: int
    loss: NDArray[np.float64]
    correct: NDArray[np.float64] | None = None
    absolute: NDArray[np.float64] | None = None
    squared: NDArray[np.float64] | None = None
    reach: Reach | None = None
    others: Mapping[str, "EvaluationSums"] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerParameters:
    """Weights ``[T, *shape]`` and biases ``[T, fan_out]`` of one layer, in slot order, float32."""

    name: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


def no_sums(trials: int, rows: int, batch_size: int, *, classifies: bool) -> EpochSums:
    """The sums at an epoch's beginning."""
    correct = np.zeros(trials) if classifies else None
    return EpochSums(rows, np.zeros(trials), correct, np.zeros(trials, dtype=np.int64), batch_size)


class Engine(Protocol):
    """Trains one cohort. Built from a description and rows; untrained until the first epoch."""

    name: str
    device: str

    def train_epoch(self, epoch: int, tick: Tick, begun: EpochSums | None = None) -> EpochSums:
        """Train one epoch (1-based) to its end, or, when `tick` asks to stop, to the next batch.

        Args:
            epoch: which one.
            tick: see `Tick`.
            begun: what an earlier call for this epoch returned, where the state is that of its end: the epoch goes on
                from there, bit for bit as if it had not been set down.
        """
        ...

    def evaluate(self, tick: Tick) -> EvaluationSums | None:
        """Measure every trial on the validation rows, in evaluation mode; None when `tick` asked to stop."""
        ...

    def parameters(self) -> tuple[LayerParameters, ...]:
        """Copies of weights and biases, layer by layer from the input."""
        ...

    def finite(self) -> NDArray[np.bool_]:
        """Which slots hold finite parameters only, ``[T, layers]``."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all that `load_state` needs to go on bit for bit."""
        ...

    def load_state(self, state: State) -> None:
        """Take over a state.

        Raises:
            ValueError: a name or shape that does not fit this cohort.
        """
        ...
