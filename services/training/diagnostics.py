"""What each layer of each trial looks like: measured on parameters alone, whatever engine trained them.

Quantities and where they are measured:

- moments: mean and variance of pre-activations and activations over the first `SIGNAL_ROWS` validation rows; of a
  regression's output layer also the smallest and largest output on all validation rows, beside those of the target.
- histogram: those activations, counted in fixed bins.
- saturation: share of those pre-activations where the slope is below 5 % of the activation's steepest on [-3, 3].
- dead_units: share of units that pass no gradient (gated units: that give 0) on any validation row.
- gradients: of the mean loss over the first `PROBE_ROWS` training rows; backward_second_moment is the mean square of
  one row's loss gradient with respect to a pre-activation.
- update_ratio: ||W_e - W_{e-1}|| / ||W_{e-1}|| over the epoch just finished.
- with moments and gradients, at epoch 0: what theory expects of them, see `services.training.expectations`.
- distinct_units, effective_rank: of the weights alone, see `services.training.layer_statistics`.

A pre-activation is what goes into the activation, after a normalisation that comes before it. Batch norm takes the
statistics of the rows measured, `SIGNAL_ROWS` at a time where all are, and dropout rests. Convolutional networks are
measured on `IMAGE_ROWS`, each place of a channel counting as a row. Whatever trains a cohort also runs the rows through
its layers: the kernel (`services.training.native.kernel_signals`) or PyTorch (`services.training.network_signals`).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.science.activations import BaseActivation
from services.science.diagnostics import Diagnostics, Quantity
from services.science.limits import LARGEST_RANK
from services.training.engine import CohortDescription, Engine, LayerParameters, Reach, Rows, State
from services.training.expectations import expected_layers
from services.training.layer_signals import RowCounts
from services.training.layer_statistics import EigenvaluesOf, distinct_units, effective_ranks, relative_changes
from services.training.native.eigenvalues import eigenvalues
from services.training.native.engine import NativeEngine
from services.training.native.kernel_signals import KernelSignals
from services.training.network_signals import NetworkSignals
from services.training.observer import LayerReport, Values

SIGNAL_ROWS = 128
PROBE_ROWS = 128
SATURATED_SLOPE = 0.05
IMAGE_ROWS = RowCounts(signals=32, dead=256, gradients=32)
"""For convolutional networks, whose rows have hundreds of places each."""


class Signals(Protocol):
    """Runs rows through the layers of a cohort, forward and backward."""

    def measure(self, state: State, quantities: AbstractSet[Quantity], healthy: NDArray[np.bool_]) -> Values:
        """The wanted ones of moments, histogram, saturation, dead_units and gradients.

        Args:
            state: an engine's state.
            quantities: others than these five are passed over.
            healthy: the slots whose numbers are needed.
        """
        ...


class Probe:
    """Measures the layers of a cohort.

    Args:
        description: the cohort.
        diagnostics: what is measured and when.
        initial: weights and biases of every layer.
        rows: what is measured on.
        device: where, if it is PyTorch that measures.
        engine: what trains the cohort; a compiled one measures by itself, even while it trains.
    """

    def __init__(
        self,
        description: CohortDescription,
        diagnostics: Diagnostics,
        initial: tuple[LayerParameters, ...],
        rows: Rows,
        device: str,
        engine: Engine | None = None,
    ) -> None:
        self._description = description
        self._diagnostics = diagnostics
        steepest = {trial.activation: 0.0 for trial in description.trials}
        steepest = {activation: steepest_slope(activation) for activation in steepest}
        flat_below = np.array([steepest[trial.activation] for trial in description.trials], dtype=np.float32)
        flat_below *= np.float32(SATURATED_SLOPE)
        images = bool(description.stages[0].space)
        counts = IMAGE_ROWS if images else RowCounts(SIGNAL_ROWS, None, PROBE_ROWS)
        self._signals: Signals
        self._eigenvalues: EigenvaluesOf = np.linalg.eigvalsh
        if isinstance(engine, NativeEngine):
            self._signals = KernelSignals(engine, counts, flat_below)
            self._eigenvalues = eigenvalues
        else:
            self._signals = NetworkSignals(description, initial, rows, device, counts, flat_below)
        self._signal_rows = rows.x_validation[: counts.signals]
        self._targets = tuple(float(end(rows.y_validation)) for end in (np.min, np.max))

    def due(self, epoch: int) -> bool:
        """Whether the layers are to be measured after this epoch."""
        return self._diagnostics.due(epoch, self._description.epochs)

    def measure(
        self,
        state: State,
        before: tuple[LayerParameters, ...] | None,
        healthy: NDArray[np.bool_],
        reach: Reach | None = None,
    ) -> tuple[LayerReport, ...]:
        """Measure every layer of the healthy slots.

        Args:
            state: an engine's state after the epoch.
            before: its weights before that epoch; None for epoch 0.
            healthy: the slots that have not diverged.
            reach: a regression's smallest and largest output on all validation rows.
        """
        quantities = set(self._diagnostics.quantities)
        values = self._signals.measure(state, quantities, healthy)
        self._weights(values, quantities, state, before)
        if before is None:
            self._expectations(values, quantities)
        if reach is not None and "moments" in quantities:
            for slot, output in enumerate(values[-1]):
                ends = (float(reach[0][slot]), float(reach[1][slot]), *self._targets)
                names = ("output_min", "output_max", "target_min", "target_max")
                output.update((name, x if np.isfinite(x) else None) for name, x in zip(names, ends, strict=True))
        return tuple(
            LayerReport(int(slot), layer.name, layer.index, values[layer.index][slot])
            for layer in self._description.weight_layers
            for slot in np.flatnonzero(healthy)
        )

    def _expectations(self, values: Values, quantities: set[Quantity]) -> None:
        """What theory expects of the untrained networks, beside what was measured of them."""
        expected = expected_layers(self._description, self._signal_rows)
        names = {"moments": "predicted_second_moment", "gradients": "predicted_backward_ratio"}
        for slot, layers in enumerate(expected or ()):
            for index, layer in enumerate(layers):
                values[index][slot].update({name: layer[name] for key, name in names.items() if key in quantities})

    def _weights(
        self, values: Values, quantities: set[Quantity], state: State, before: tuple[LayerParameters, ...] | None
    ) -> None:
        factor = self._description.width_factor
        for layer in self._description.weight_layers:
            weight, bias = (
                state[f"parameters.{layer.name}.{name}"].astype(np.float32, copy=False) for name in ("weight", "bias")
            )
            slots = np.flatnonzero(np.isfinite(weight.reshape(len(weight), -1)).all(axis=1))
            weight, bias = weight[slots], bias[slots]
            # A convolution's kernels stand in columns, like the weights of a dense layer's units.
            matrices = weight if weight.ndim == 3 else weight.reshape(len(weight), layer.channels, -1).swapaxes(1, 2)
            columns: dict[str, Sequence[Any]] = {}
            if "update_ratio" in quantities and before is not None:
                columns["update_ratio"] = relative_changes(before[layer.index].weight[slots], weight)
            if "distinct_units" in quantities and not layer.is_output:
                columns["units"] = [layer.channels // factor] * len(slots)
                columns["distinct_units"] = distinct_units(matrices, bias, factor)
            if "effective_rank" in quantities and min(matrices.shape[1:]) <= LARGEST_RANK:
                columns["effective_rank"] = effective_ranks(matrices, self._eigenvalues)
            for name, numbers in columns.items():
                for slot, number in zip(slots, numbers, strict=True):
                    values[layer.index][slot][name] = number


def steepest_slope(activation: BaseActivation) -> float:
    """The largest slope, in absolute value, for pre-activations between -3 and 3; 0 for gated members."""
    if activation.width_factor != 1:
        return 0.0
    return float(np.abs(activation.derivative(np.linspace(-3.0, 3.0, 1201))).max())
