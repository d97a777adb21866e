"""A cohort's networks as one tensor program over a stacked trial axis."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.science.activations import BaseActivation
from services.science.models.layers import Stage
from services.training.activations import activate
from services.training.convolution import convolve, max_pool
from services.training.dropout import Masks, drop
from services.training.engine import CohortDescription, LayerParameters, State
from services.training.normalization import MovingStatistics, Normalizer, layer_norm

Watch = Callable[[int, Tensor, Tensor], None]
"""Called with (hidden layer, pre-activations, activations), ``[trials, rows, ..., units]`` in the network's order."""


class StackedNetwork:
    """Parameters and forward pass of T networks of one shape.

    Trials are sorted by activation, so that each activation is applied to one contiguous slice; `order[i]` is the slot
    of the network's trial i, and `place[slot]` the reverse. All parameters of a trial lie in one row of `flat`
    ``[T, P]``; `leaves` are views of it, one per weight, bias, learned activation parameter, and scale and shift of a
    normalisation. Images run through the network with their channels last.

    Attributes:
        parts: the trials that are run together, in order: all of them, or one at a time where there are convolutions,
            whose activations would not fit otherwise.
        moving: batch norm's moving statistics.
        lone_leaves: of a single plain network, its leaves without the trial axis, for a `forward` that nobody watches;
            else empty. A small network's views along that axis, there and back, cost as much as its layers.
    """

    def __init__(self, description: CohortDescription, initial: Sequence[LayerParameters], device: str) -> None:
        trials = description.trials
        sort = sorted(range(len(trials)), key=lambda slot: (trials[slot].activation.label(), slot))
        self.order: NDArray[np.int64] = np.array(sort, dtype=np.int64)
        self.place: NDArray[np.int64] = np.argsort(self.order)
        self.stages = description.stages
        self.layers = tuple(stage.layer for stage in self.stages)
        self.groups = _groups(description, sort)
        self.device = device
        self.images = bool(self.stages[0].space)
        self.everyone = slice(0, len(trials))
        self.parts = [slice(i, i + 1) for i in range(len(trials))] if self.images else [self.everyone]
        arrays = self._start(description, initial)
        self.names = list(arrays)
        self.shapes = [array.shape[1:] for array in arrays.values()]
        stacked = np.concatenate([array.reshape(len(trials), -1) for array in arrays.values()], axis=1)
        self.flat: Tensor = torch.from_numpy(np.ascontiguousarray(stacked)).to(device)
        bounds = [0, *itertools.accumulate(int(np.prod(shape)) for shape in self.shapes)]
        self.spans = list(itertools.pairwise(bounds))
        self.leaves: list[Tensor] = [
            self.flat[:, a:b].view(len(trials), *shape).requires_grad_()
            for (a, b), shape in zip(self.spans, self.shapes, strict=True)
        ]
        self.lone_leaves = [leaf.detach().squeeze(0).requires_grad_() for leaf in self.leaves] if self._plain() else []
        self.moving = MovingStatistics(self.stages, len(trials), device)
        self._at = {name: index for index, name in enumerate(self.names)}

    def leaves_of(self, part: slice) -> list[Tensor]:
        """The leaves of some trials, to be differentiated by."""
        if part == self.everyone:
            return self.leaves
        # Copies: the parts are trained at once, and autograd takes a change of one view for a change of all.
        return [leaf[part].detach().clone().requires_grad_() for leaf in self.leaves]

    def forward(
        self,
        x: Tensor,
        watch: Watch | None = None,
        part: slice | None = None,
        *,
        normalizer: Normalizer | None = None,
        masks: Masks | None = None,
        leaves: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Run rows ``[trials, rows, inputs]`` through every trial's network; outputs or logits come back.

        Args:
            x: rows; ``[trials, rows, channels, height, width]`` for a convolutional network.
            watch: sees every hidden layer.
            part: the trials that are run; all of them when left out.
            normalizer: how batch norm normalises; by the moving statistics when left out.
            masks: which activations dropout lets stay, ``[trials, rows, ...]`` by layer; all of them when left out.
            leaves: the parameters of `part`; the network's own when left out.
        """
        if leaves is not None and leaves is self.lone_leaves:
            return self._forward_lone(x.squeeze(0), leaves).unsqueeze(0)
        part = part or self.everyone
        normalizer = normalizer or self.moving.present(part)
        if leaves is None:
            leaves = self.leaves if part == self.everyone else [leaf[part] for leaf in self.leaves]
        if self.images:
            x = x.movedim(2, -1).contiguous()
        for index, stage in enumerate(self.stages[:-1]):
            entering, norm = x, stage.norm
            x = self._weigh(stage, x, leaves)
            if norm is not None and norm.position == "before":
                x = self._normalize(stage, x, normalizer, leaves)
            pre, x = x, self.activate(index, x, part, leaves)
            if watch is not None:
                watch(index, pre, x)
            if norm is not None and norm.position == "after":
                x = self._normalize(stage, x, normalizer, leaves)
            if stage.pooled:
                x = max_pool(x)
            if masks and index in masks:
                x = drop(x, masks[index], stage.dropout)
            if stage.skip:
                x = x + entering
        return self._weigh(self.stages[-1], x, leaves)

    def _plain(self) -> bool:
        """Whether this is one network of nothing but dense layers and activations without parameters."""
        return len(self.order) == 1 and not any(
            stage.space or stage.norm is not None or stage.dropout or activation.learned
            for stage in self.stages
            for activation, _, _ in self.groups
        )

    def _forward_lone(self, x: Tensor, leaves: Sequence[Tensor]) -> Tensor:
        """Run rows ``[rows, inputs]`` through a plain network without a trial axis."""
        activation = self.groups[0][0]
        for stage, weight, bias in zip(self.stages[:-1], leaves[::2], leaves[1::2], strict=False):
            outputs = activate(activation, torch.addmm(bias, x, weight))
            x = outputs + x if stage.skip else outputs
        return torch.addmm(leaves[-1], x, leaves[-2])

    def load(self, state: State) -> None:
        """Take over parameters and moving statistics of a state, which are in slot order."""
        arrays = {f"parameters.{name}": leaf for name, leaf in zip(self.names, self.leaves, strict=True)}
        with torch.no_grad():
            for name, tensor in {**arrays, **self.moving.buffers}.items():
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(state[name][self.order])))

    def finite(self) -> NDArray[np.bool_]:
        """Which layers of which trials hold finite numbers only, ``[trials, layers]`` in the network's order."""
        finite = torch.ones((len(self.order), len(self.layers)), dtype=torch.bool, device=self.device)
        tensors = [(name, self.flat[:, a:b]) for name, (a, b) in zip(self.names, self.spans, strict=True)]
        tensors += [(name.removeprefix("batch_norm."), buffer) for name, buffer in self.moving.buffers.items()]
        column = {layer.name: layer.index for layer in self.layers}
        for name, tensor in tensors:
            finite[:, column[name.rpartition(".")[0]]] &= torch.isfinite(tensor).all(dim=1)
        return finite.cpu().numpy()

    def activate(self, layer: int, pre: Tensor, part: slice, leaves: Sequence[Tensor] | None = None) -> Tensor:
        """Apply each trial's activation to one hidden layer's pre-activations ``[trials, ..., units]`` of `part`."""
        if leaves is None:
            leaves = self.leaves if part == self.everyone else [leaf[part] for leaf in self.leaves]
        done: list[Tensor] = []
        groups = _within(self.groups, part)
        # split and not slices: its gradient is put together in one piece; and nothing to put together for one.
        pieces = pre.split([last - first for _, first, last in groups]) if len(groups) > 1 else [pre]
        for (activation, first, last), piece in zip(groups, pieces, strict=True):
            learned: dict[str, Tensor] | None = None
            if activation.learned:
                leaf = leaves[self._at[f"{self.layers[layer].name}.activation"]]
                shape = (-1, *[1] * (pre.dim() - 1))
                learned = {name: leaf[first:last, k].view(shape) for k, name in enumerate(activation.learned)}
            done.append(activate(activation, piece, learned))
        return done[0] if len(done) == 1 else torch.cat(done)

    def _weigh(self, stage: Stage, x: Tensor, leaves: Sequence[Tensor]) -> Tensor:
        """Weights and bias of one stage."""
        weight, bias = leaves[2 * stage.layer.index], leaves[2 * stage.layer.index + 1]
        if stage.space:
            return convolve(x, weight, bias)
        return torch.baddbmm(bias.unsqueeze(1), x.flatten(2), weight)

    def _normalize(self, stage: Stage, x: Tensor, normalizer: Normalizer, leaves: Sequence[Tensor]) -> Tensor:
        gamma, beta = (leaves[self._at[f"{stage.layer.name}.{name}"]] for name in ("gamma", "beta"))
        if stage.batch_norm is not None:
            return normalizer(stage.layer.index, x, stage.batch_norm.epsilon, gamma, beta)
        assert stage.layer_norm is not None
        return layer_norm(x, stage.layer_norm.epsilon, gamma, beta)

    def _start(
        self, description: CohortDescription, initial: Sequence[LayerParameters]
    ) -> dict[str, NDArray[np.float32]]:
        """Everything that is trained, by name and in the order of `flat`, as it is before the first step."""
        trials = len(self.order)
        arrays: dict[str, NDArray[np.float32]] = {}
        for layer in initial:
            arrays[f"{layer.name}.weight"] = layer.weight[self.order]
            arrays[f"{layer.name}.bias"] = layer.bias[self.order]
        if most := max(len(trial.activation.learned) for trial in description.trials):
            start = np.zeros((trials, most), dtype=np.float32)
            for activation, first, last in self.groups:
                for k, name in enumerate(activation.learned):
                    start[first:last, k] = getattr(activation, name)
            arrays.update({f"{layer.name}.activation": start for layer in self.layers[:-1]})
        for stage in self.stages:
            if stage.norm is not None:
                arrays[f"{stage.layer.name}.gamma"] = np.ones((trials, stage.norm_width), dtype=np.float32)
                arrays[f"{stage.layer.name}.beta"] = np.zeros((trials, stage.norm_width), dtype=np.float32)
        return arrays


Group = tuple[BaseActivation, int, int]
"""An activation and its trials: first, last + 1."""


def _groups(description: CohortDescription, order: list[int]) -> list[Group]:
    """Runs of equal activations along the sorted trials."""
    groups: list[Group] = []
    first = 0
    for activation, run in itertools.groupby(description.trials[slot].activation for slot in order):
        last = first + len(list(run))
        groups.append((activation, first, last))
        first = last
    return groups


def _within(groups: list[Group], part: slice) -> list[Group]:
    """The groups of some trials, counted from the first of these."""
    cut = [(activation, max(a, part.start), min(b, part.stop)) for activation, a, b in groups]
    return [(activation, a - part.start, b - part.start) for activation, a, b in cut if a < b]
