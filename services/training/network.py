"""A cohort's multilayer perceptrons as one tensor program over a stacked trial axis."""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.training.activations import activate
from services.training.engine import CohortDescription, LayerParameters, State

Watch = Callable[[int, Tensor, Tensor], None]
"""Called with (hidden layer, pre-activations, activations), both ``[trials, rows, units]`` in the network's order."""


class StackedMlp:
    """Parameters and forward pass of T networks of one shape.

    Trials are sorted by activation, so that each activation is applied to one contiguous slice; `order[i]` is the slot
    of the network's trial i, and `place[slot]` the reverse. All parameters of a trial lie in one row of `flat`
    ``[T, P]``; `leaves` are views of it, one per weight, bias and learned activation parameter.
    """

    def __init__(self, description: CohortDescription, initial: tuple[LayerParameters, ...], device: str) -> None:
        trials = description.trials
        sort = sorted(range(len(trials)), key=lambda slot: (trials[slot].activation.label(), slot))
        self.order: NDArray[np.int64] = np.array(sort, dtype=np.int64)
        self.place: NDArray[np.int64] = np.argsort(self.order)
        self.layers = description.weight_layers
        self.groups = _groups(description, sort)
        self.device = device
        self.names: list[str] = []
        arrays: list[NDArray[np.float32]] = []
        for layer in initial:
            self.names += [f"{layer.name}.weight", f"{layer.name}.bias"]
            arrays += [layer.weight[self.order], layer.bias[self.order]]
        self._learned_count = max(len(trial.activation.learned) for trial in trials)
        if self._learned_count:
            for layer in initial[:-1]:
                self.names.append(f"{layer.name}.activation")
                arrays.append(self._learned_start())
        self.shapes = [array.shape[1:] for array in arrays]
        stacked = np.concatenate([array.reshape(len(trials), -1) for array in arrays], axis=1)
        self.flat: Tensor = torch.from_numpy(np.ascontiguousarray(stacked)).to(device)
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        bounds = [0, *itertools.accumulate(sizes)]
        self.spans = list(itertools.pairwise(bounds))
        self.leaves: list[Tensor] = [
            self.flat[:, a:b].view(len(trials), *shape).requires_grad_()
            for (a, b), shape in zip(self.spans, self.shapes, strict=True)
        ]

    def forward(self, x: Tensor, watch: Watch | None = None, group: int | None = None) -> Tensor:
        """Run rows ``[trials, rows, inputs]`` through every trial's network; outputs or logits come back.

        With `group`, only through the trials of one of `groups`.
        """
        leaves = self.leaves
        if group is not None:
            _, first, last = self.groups[group]
            leaves = [leaf[first:last] for leaf in leaves]
        hidden = len(self.layers) - 1
        for index in range(hidden):
            pre = torch.baddbmm(leaves[2 * index + 1].unsqueeze(1), x, leaves[2 * index])
            x = self.activate(index, pre, group)
            if watch is not None:
                watch(index, pre, x)
        return torch.baddbmm(leaves[2 * hidden + 1].unsqueeze(1), x, leaves[2 * hidden])

    def load(self, state: State) -> None:
        """Take over the parameters ``parameters.<name>`` of a state, which are in slot order."""
        with torch.no_grad():
            for name, leaf in zip(self.names, self.leaves, strict=True):
                array = np.ascontiguousarray(state[f"parameters.{name}"][self.order])
                leaf.copy_(torch.from_numpy(array))

    def spans_of_layer(self, index: int) -> tuple[int, int]:
        """The columns of `flat` that hold one layer's weight and bias."""
        return self.spans[2 * index][0], self.spans[2 * index + 1][1]

    def activate(self, layer: int, pre: Tensor, group: int | None = None) -> Tensor:
        """Apply each trial's activation to one hidden layer's pre-activations ``[trials, rows, units]``."""
        parts: list[Tensor] = []
        groups = self.groups if group is None else [self.groups[group]]
        # split and not slices: its gradient is put together in one piece.
        pieces = pre.split([last - first for _, first, last in groups])
        for (activation, first, last), part in zip(groups, pieces, strict=True):
            learned: dict[str, Tensor] | None = None
            if activation.learned:
                leaf = self.leaves[2 * len(self.layers) + layer]
                learned = {name: leaf[first:last, k].view(-1, 1, 1) for k, name in enumerate(activation.learned)}
            parts.append(activate(activation, part, learned))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _learned_start(self) -> NDArray[np.float32]:
        start = np.zeros((len(self.order), self._learned_count), dtype=np.float32)
        for activation, first, last in self.groups:
            for k, name in enumerate(activation.learned):
                start[first:last, k] = getattr(activation, name)
        return start


def _groups(description: CohortDescription, order: list[int]) -> list[tuple]:
    """Runs of equal activations along the sorted trials: (activation, first, last + 1)."""
    groups: list[tuple] = []
    first = 0
    for activation, run in itertools.groupby(description.trials[slot].activation for slot in order):
        last = first + len(list(run))
        groups.append((activation, first, last))
        first = last
    return groups
