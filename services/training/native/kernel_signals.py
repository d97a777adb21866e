"""What runs forward and backward through the layers of a cohort, by the kernel; see `services.training.diagnostics`."""

from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from services.science.diagnostics import Quantity
from services.training.engine import State
from services.training.layer_signals import RowCounts
from services.training.native.engine import NativeEngine
from services.training.native.measured import Ask
from services.training.observer import Values

MOMENTS = ("pre_activation_mean", "pre_activation_variance")
BEHIND = ("activation_mean", "activation_variance")
GRADIENTS = ("gradient_norm", "gradient_variance", "backward_second_moment")


class KernelSignals:
    """Measures any state of an engine's cohort on the engine's rows; see `services.training.diagnostics.Signals`.

    Args:
        engine: may train meanwhile.
        counts: how many rows are measured; dead units are looked for on all of them.
        flat_below: per slot, the slope under which a pre-activation is saturated.
    """

    def __init__(self, engine: NativeEngine, counts: RowCounts, flat_below: NDArray[np.float32]) -> None:
        self._engine = engine
        self._counts = counts
        self._flat_below = flat_below
        description = engine.description
        rows = min(counts.signals, engine.validation_rows)
        self._gated = description.width_factor != 1
        self._units = [
            layer.channels // (1 if layer.is_output else description.width_factor)
            for layer in description.weight_layers
        ]
        self._activations = [rows * units for units in self._units]

    def measure(self, state: State, quantities: AbstractSet[Quantity], healthy: NDArray[np.bool_]) -> Values:
        """See `services.training.diagnostics.Signals`."""
        ask = Ask(quantities, self._counts.signals, self._counts.gradients)
        measured = self._engine.measure(state, ask, self._flat_below, healthy)
        return [self._layer(layer, measured[:, layer], quantities) for layer in range(measured.shape[1])]

    def _layer(
        self, layer: int, measured: NDArray[np.void], quantities: AbstractSet[Quantity]
    ) -> list[dict[str, object]]:
        hidden = layer < len(self._units) - 1
        columns: dict[str, list[object]] = {}
        if "moments" in quantities:
            columns |= {name: _numbers(measured[name]) for name in (*MOMENTS, *(BEHIND if hidden else ()))}
        if "saturation" in quantities and hidden and not self._gated:
            columns["saturated_fraction"] = _numbers(measured["flat"] / self._activations[layer])
        if "histogram" in quantities and hidden:
            counts = measured["counts"].tolist()
            columns["histogram"] = [{"below": row[0], "counts": row[1:-1], "above": row[-1]} for row in counts]
        if "dead_units" in quantities and hidden:
            columns["dead_fraction"] = _numbers(measured["dead"] / self._units[layer])
        if "gradients" in quantities:
            columns |= {name: _numbers(measured[name]) for name in GRADIENTS}
        if not columns:
            return [{} for _ in measured]
        return [dict(zip(columns, numbers, strict=True)) for numbers in zip(*columns.values(), strict=True)]


def _numbers(column: NDArray[np.float64]) -> list[object]:
    """As Python's numbers; None where they are not finite."""
    finite = np.isfinite(column)
    if finite.all():
        return column.tolist()
    return [number if some else None for number, some in zip(column.tolist(), finite, strict=True)]
