"""What each layer of each trial looks like: measured on parameters alone, whatever engine trained them.

Quantities and where they are measured:

- moments: mean and variance of pre-activations and activations over the first `SIGNAL_ROWS` validation rows; of a
  regression's output layer also the smallest and largest output on all validation rows, beside those of the target.
- histogram: those activations, counted in fixed bins.
- saturation: share of those pre-activations where the slope is below 5 % of the activation's steepest on [-3, 3].
- dead_units: share of units that pass no gradient (gated units: that give 0) on the first `DEAD_ROWS` validation rows.
- gradients: of the mean loss over the first `PROBE_ROWS` training rows; backward_second_moment is the mean square of
  one row's loss gradient with respect to a pre-activation.
- update_ratio: ||W_e - W_{e-1}|| / ||W_{e-1}|| over the epoch just finished.
- with moments and gradients, at epoch 0: what theory expects of them, see `services.training.expectations`.
- distinct_units, effective_rank: of the weights alone, see `services.training.layer_statistics`.

A pre-activation is what goes into the activation, after a normalisation that comes before it. Batch norm takes the
statistics of the rows measured and dropout rests. Convolutional networks are measured on `IMAGE_ROWS`, each place of a
channel counting as a row.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.science.activations import BaseActivation
from services.science.diagnostics import Diagnostics, Quantity
from services.training.eager import network_rows, to_tensor
from services.training.engine import CohortDescription, LayerParameters, Reach, Rows, State
from services.training.expectations import expected_layers
from services.training.layer_statistics import distinct_units, effective_ranks, relative_changes
from services.training.losses import row_losses
from services.training.network import StackedNetwork, Watch
from services.training.normalization import by_batch
from services.training.observer import LayerReport
from services.training.signals import LayerSignals, silent

SIGNAL_ROWS = 128
DEAD_ROWS = 2048
PROBE_ROWS = 128
SATURATED_SLOPE = 0.05
IMAGE_ROWS = (32, 256, 32)
"""The same three for convolutional networks, whose rows have hundreds of places each."""
LARGEST_RANK = 512
"""Weights whose smaller side exceeds this have no effective rank: the decomposition would cost too much."""

Values = list[list[dict[str, Any]]]
"""The numbers by layer and trial of the network's order."""


class Probe:
    """Measures the layers of a cohort with a network of its own."""

    def __init__(
        self,
        description: CohortDescription,
        diagnostics: Diagnostics,
        initial: tuple[LayerParameters, ...],
        rows: Rows,
        device: str,
    ) -> None:
        self._description = description
        self._diagnostics = diagnostics
        self._network = StackedNetwork(description, initial, device)
        dense = (SIGNAL_ROWS, DEAD_ROWS, PROBE_ROWS)
        self._few, self._many, probes = IMAGE_ROWS if self._network.images else dense
        self._x = network_rows(self._network, rows.x_train[:probes], device)
        self._y = to_tensor(rows.y_train[:probes], device)
        self._x_validation = network_rows(self._network, rows.x_validation[: self._many], device)
        self._signal_rows = rows.x_validation[: self._few]
        self._targets = tuple(float(end(rows.y_validation)) for end in (np.min, np.max))
        steepest = [steepest_slope(description.trials[slot].activation) for slot in self._network.order]
        self._flat_below = SATURATED_SLOPE * torch.tensor(steepest, device=device).view(-1, 1, 1)

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
        self._network.load(state)
        values: Values = [[{} for _ in self._network.order] for _ in self._network.layers]
        wanted = set(self._diagnostics.quantities)
        if wanted & {"moments", "histogram", "saturation", "dead_units"}:
            self._forward(values, wanted)
        if "gradients" in wanted:
            self._backward(values)
        self._weights(values, wanted, before)
        if before is None:
            self._expectations(values, wanted)
        if reach is not None and "moments" in wanted:
            for place, slot in enumerate(self._network.order):
                ends = (float(reach[0][slot]), float(reach[1][slot]), *self._targets)
                names = ("output_min", "output_max", "target_min", "target_max")
                values[-1][place].update(
                    (name, x if np.isfinite(x) else None) for name, x in zip(names, ends, strict=True)
                )
        return tuple(
            LayerReport(int(slot), layer.name, layer.index, values[layer.index][place])
            for layer in self._network.layers
            for slot, place in enumerate(self._network.place)
            if healthy[slot]
        )

    @torch.no_grad()
    def _forward(self, values: Values, wanted: set[Quantity]) -> None:
        dead: list[list[Tensor]] = [[] for _ in values[:-1]]
        for part in self._network.parts:
            for index, measured in enumerate(self._signals(wanted, part)):
                trials = values[index][part]
                for name, numbers in measured.values.items():
                    _store(trials, name, numbers)
                if measured.histogram is not None:
                    for trial, row in zip(trials, measured.histogram.tolist(), strict=True):
                        trial["histogram"] = {"below": row[0], "counts": row[1:-1], "above": row[-1]}
                if measured.dead is not None:
                    dead[index].append(measured.dead)
        if "dead_units" in wanted and dead:
            together = [torch.cat(parts) for parts in dead]
            self._confirm(together)
            for layer, units in zip(values[:-1], together, strict=True):
                _store(layer, "dead_fraction", units.double().mean(dim=1))

    def _signals(self, wanted: set[Quantity], part: slice) -> list[LayerSignals]:
        """What runs through each layer of some trials on the first validation rows."""
        found: list[LayerSignals] = []
        slopes = bool(wanted & {"saturation", "dead_units"}) and self._description.width_factor == 1
        flat_below = self._flat_below[part]

        def watch(_index: int, pre: Tensor, post: Tensor) -> None:
            slope = torch.autograd.grad(post.sum(), pre)[0].flatten(1, -2) if slopes else None
            pre, post = (signal.detach().flatten(1, -2) for signal in (pre, post))
            found.append(LayerSignals(pre, post, slope, flat_below, wanted))

        with torch.set_grad_enabled(slopes):
            outputs = self._run(self._x_validation[: self._few], watch, part).detach()
        return [*found, LayerSignals(outputs, None, None, flat_below, wanted)]

    def _confirm(self, dead: list[Tensor]) -> None:
        """Strike from `dead`, layer by layer in place, the units that live on the rows not yet looked at.

        Only trials with such units are run, and only such units are looked at.
        """
        rest = self._x_validation[self._few : self._many]
        if not len(rest):
            return
        suspicious = torch.stack([layer.any(dim=1) for layer in dead]).any(dim=0)
        for trial in suspicious.nonzero().flatten().tolist():
            part = slice(trial, trial + 1)

            def watch(index: int, pre: Tensor, post: Tensor, part: slice = part) -> None:
                (units,) = dead[index][part][0].nonzero(as_tuple=True)
                if len(units):
                    pre, post = (signal.flatten(1, -2)[:, :, units] for signal in (pre, post))
                    dead[index][part.start, units] = silent(post, self._slope(index, pre, part))[0]

            self._run(rest, watch, part)

    def _run(self, rows: Tensor, watch: Watch, part: slice) -> Tensor:
        """Run the same rows ``[rows, ...]`` through some trials; batch norm takes the statistics of these rows."""
        together = rows.expand(part.stop - part.start, *rows.shape)
        return self._network.forward(together, watch, part, normalizer=by_batch)

    def _slope(self, index: int, pre: Tensor, part: slice) -> Tensor | None:
        """The slope of each trial's activation at `pre`; None for gated units."""
        if self._description.width_factor != 1:
            return None
        with torch.enable_grad():
            inputs = pre.detach().requires_grad_()
            return torch.autograd.grad(self._network.activate(index, inputs, part).sum(), inputs)[0]

    def _backward(self, values: Values) -> None:
        network = self._network
        for part in network.parts:
            pres: list[Tensor] = []
            leaves = network.leaves_of(part)
            together = part.stop - part.start
            outputs = network.forward(
                self._x.expand(together, *self._x.shape),
                lambda _index, pre, _post, pres=pres: pres.append(pre),
                part,
                normalizer=by_batch,
                leaves=leaves,
            )
            pres.append(outputs)
            targets = self._y.expand(together, *self._y.shape)
            loss = row_losses(self._description.loss, outputs, targets).mean(dim=1).sum()
            weights = [leaves[2 * layer.index] for layer in network.layers]
            gradients = torch.autograd.grad(loss, [*weights, *pres])
            per_layer = zip(gradients[: len(weights)], gradients[len(weights) :], strict=True)
            for layer, (weight, pre) in zip(values, per_layer, strict=True):
                trials = layer[part]
                per_weight = weight.double().reshape(together, -1)
                _store(trials, "gradient_norm", torch.linalg.vector_norm(per_weight, dim=1))
                _store(trials, "gradient_variance", per_weight.var(dim=1, correction=0))
                # Converted as it is added up: gradients too small for their float32 squares still count.
                norm = torch.linalg.vector_norm(pre.flatten(1), dim=1, dtype=torch.float64)
                per_row = norm.square() * (len(self._x) ** 2 / pre[0].numel())
                _store(trials, "backward_second_moment", per_row)

    def _expectations(self, values: Values, wanted: set[Quantity]) -> None:
        """What theory expects of the untrained networks, beside what was measured of them."""
        expected = expected_layers(self._description, self._signal_rows)
        names = {"moments": "predicted_second_moment", "gradients": "predicted_backward_ratio"}
        for place, slot in enumerate(self._network.order):
            for index, layer in enumerate(() if expected is None else expected[slot]):
                values[index][place].update({name: layer[name] for key, name in names.items() if key in wanted})

    def _weights(self, values: Values, wanted: set[Quantity], before: tuple[LayerParameters, ...] | None) -> None:
        factor = self._description.width_factor
        for layer in self._network.layers:
            weight, bias = (self._network.leaves[2 * layer.index + k].detach().cpu().numpy() for k in (0, 1))
            finite = np.flatnonzero(np.isfinite(weight.reshape(len(weight), -1)).all(axis=1))
            weight, bias, slots = weight[finite], bias[finite], self._network.order[finite]
            # A convolution's kernels stand in columns, like the weights of a dense layer's units.
            matrices = weight if weight.ndim == 3 else weight.reshape(len(weight), layer.channels, -1).swapaxes(1, 2)
            found: dict[str, Sequence[Any]] = {}
            if "update_ratio" in wanted and before is not None:
                found["update_ratio"] = relative_changes(before[layer.index].weight[slots], weight)
            if "distinct_units" in wanted and not layer.is_output:
                found["units"] = [layer.channels // factor] * len(finite)
                found["distinct_units"] = distinct_units(matrices, bias, factor)
            if "effective_rank" in wanted and min(matrices.shape[1:]) <= LARGEST_RANK:
                found["effective_rank"] = effective_ranks(matrices)
            for name, numbers in found.items():
                for place, number in zip(finite, numbers, strict=True):
                    values[layer.index][place][name] = number


def steepest_slope(activation: BaseActivation) -> float:
    """The largest slope, in absolute value, for pre-activations between -3 and 3; 0 for gated members."""
    if activation.width_factor != 1:
        return 0.0
    return float(np.abs(activation.derivative(np.linspace(-3.0, 3.0, 1201))).max())


def _store(layer: list[dict[str, Any]], name: str, numbers: Tensor) -> None:
    """Put one number per trial under `name`; None where it is not finite."""
    for trial, number in zip(layer, numbers.tolist(), strict=True):
        trial[name] = number if np.isfinite(number) else None
