"""What runs forward and backward through the layers of a cohort, by PyTorch; see `services.training.diagnostics`."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.science.diagnostics import Quantity
from services.training.eager import network_rows, to_tensor
from services.training.engine import CohortDescription, LayerParameters, Rows, State
from services.training.layer_signals import LayerSignals, RowCounts, silent
from services.training.losses import row_losses
from services.training.network import StackedNetwork, Watch
from services.training.normalization import by_batch
from services.training.observer import Values

PIECE = 2048
"""Rows that are searched for signs of life at once."""


class NetworkSignals:
    """Measures with a network of its own; see `services.training.diagnostics.Signals`.

    Args:
        description: the cohort.
        initial: weights and biases of every layer, of which the shapes are taken.
        rows: what is measured on.
        device: where.
        counts: how many of the rows.
        flat_below: per slot, the slope under which a pre-activation is saturated.
    """

    def __init__(
        self,
        description: CohortDescription,
        initial: Sequence[LayerParameters],
        rows: Rows,
        device: str,
        counts: RowCounts,
        flat_below: NDArray[np.float32],
    ) -> None:
        self._description = description
        self._device = device
        self._network = StackedNetwork(description, initial, device)
        self._x = network_rows(self._network, rows.x_train[: counts.gradients], device)
        self._y = to_tensor(rows.y_train[: counts.gradients], device)
        self._x_signals = network_rows(self._network, rows.x_validation[: counts.signals], device)
        self._rest = rows.x_validation[counts.signals : counts.dead]
        # Batch norm is to see as many rows at once as it did when the signals were measured.
        batch_normed = any(stage.batch_norm is not None for stage in self._network.stages)
        self._piece = counts.signals if batch_normed else PIECE
        self._flat_below = torch.tensor(flat_below[self._network.order], device=device).view(-1, 1, 1)

    def measure(self, state: State, quantities: AbstractSet[Quantity], healthy: NDArray[np.bool_]) -> Values:  # noqa: ARG002 - it measures all
        """See `services.training.diagnostics.Signals`."""
        self._network.load(state)
        values: Values = [[{} for _ in self._network.order] for _ in self._network.layers]
        if quantities & {"moments", "histogram", "saturation", "dead_units"}:
            self._forward(values, quantities)
        if "gradients" in quantities:
            self._backward(values)
        return [[layer[place] for place in self._network.place] for layer in values]

    @torch.no_grad()
    def _forward(self, values: Values, quantities: AbstractSet[Quantity]) -> None:
        dead: list[list[Tensor]] = [[] for _ in values[:-1]]
        for part in self._network.parts:
            for index, measured in enumerate(self._signals(quantities, part)):
                trials = values[index][part]
                for name, numbers in measured.values.items():
                    _store(trials, name, numbers)
                if measured.histogram is not None:
                    for trial, row in zip(trials, measured.histogram.tolist(), strict=True):
                        trial["histogram"] = {"below": row[0], "counts": row[1:-1], "above": row[-1]}
                if measured.dead is not None:
                    dead[index].append(measured.dead)
        if "dead_units" in quantities and dead:
            together = [torch.cat(parts) for parts in dead]
            self._confirm(together)
            for layer, units in zip(values[:-1], together, strict=True):
                _store(layer, "dead_fraction", units.double().mean(dim=1))

    def _signals(self, quantities: AbstractSet[Quantity], part: slice) -> list[LayerSignals]:
        """What runs through each layer of some trials on the first validation rows."""
        signals: list[LayerSignals] = []
        slopes = bool(quantities & {"saturation", "dead_units"}) and self._description.width_factor == 1
        flat_below = self._flat_below[part]

        def watch(_index: int, pre: Tensor, post: Tensor) -> None:
            slope = torch.autograd.grad(post.sum(), pre)[0].flatten(1, -2) if slopes else None
            pre, post = (signal.detach().flatten(1, -2) for signal in (pre, post))
            signals.append(LayerSignals(pre, post, slope, flat_below, quantities))

        with torch.set_grad_enabled(slopes):
            outputs = self._run(self._x_signals, watch, part).detach()
        return [*signals, LayerSignals(outputs, None, None, flat_below, quantities)]

    def _confirm(self, dead: list[Tensor]) -> None:
        """Strike from `dead`, layer by layer in place, the units that live on the rows not yet looked at.

        Only trials with such units are run, and only such units are looked at.
        """
        for start in range(0, len(self._rest), self._piece):
            suspicious = torch.stack([layer.any(dim=1) for layer in dead]).any(dim=0)
            rows = network_rows(self._network, self._rest[start : start + self._piece], self._device)
            for trial in suspicious.nonzero().flatten().tolist():
                part = slice(trial, trial + 1)

                def watch(index: int, pre: Tensor, post: Tensor, part: slice = part) -> None:
                    (units,) = dead[index][part][0].nonzero(as_tuple=True)
                    if len(units):
                        pre, post = (signal.flatten(1, -2)[:, :, units] for signal in (pre, post))
                        dead[index][part.start, units] = silent(post, self._slope(index, pre, part))[0]

                self._run(rows, watch, part)

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


def _store(layer: list[dict[str, object]], name: str, numbers: Tensor) -> None:
    """Put one number per trial under `name`; None where it is not finite."""
    for trial, number in zip(layer, numbers.tolist(), strict=True):
        trial[name] = number if np.isfinite(number) else None
