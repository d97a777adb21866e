"""The reference engine: a cohort as one PyTorch program over a stacked trial axis, gradients by autograd."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.training.engine import (
    CohortDescription,
    EpochSums,
    EvaluationSums,
    LayerParameters,
    Rows,
    State,
    Tick,
)
from services.training.losses import correct, row_losses
from services.training.network import StackedMlp
from services.training.order import distinct_seeds, epoch_orders
from services.training.updates import UPDATES, Update

EVALUATION_FLOATS = 1_000_000
"""Most numbers in one activation tensor of an evaluation chunk: 4 MB, which keeps memory flat and caches warm."""


class EagerEngine:
    """Trains every trial of a cohort at once; see `services.training.engine.Engine`."""

    name = "eager"

    def __init__(
        self, description: CohortDescription, initial: Sequence[LayerParameters], rows: Rows, device: str
    ) -> None:
        self.device = device
        self.description = description
        self.network = StackedMlp(description, tuple(initial), device)
        self._x, self._x_validation = (flat_rows(x, device) for x in (rows.x_train, rows.x_validation))
        self._y, self._y_validation = (to_tensor(y, device) for y in (rows.y_train, rows.y_validation))
        self._seeds, seed_of_slot = distinct_seeds(tuple(trial.seed for trial in description.trials))
        seed_of_trial = seed_of_slot[self.network.order]
        one_each = np.array_equal(seed_of_trial, np.arange(len(self._seeds)))
        self._seed_of_trial = None if one_each else torch.from_numpy(seed_of_trial).to(device)
        self._update = self._make_update()

    def train_epoch(self, epoch: int, tick: Tick) -> EpochSums | None:
        """See `Engine.train_epoch`."""
        n, size = len(self._x), self.description.batch_size
        trials = len(self.description.trials)
        orders = torch.from_numpy(epoch_orders(self._seeds, epoch, n)).to(self.device)
        loss_sum = torch.zeros(trials, dtype=torch.float64, device=self.device)
        hits = torch.zeros(trials, dtype=torch.int64, device=self.device)
        classes = self.description.loss == "cross_entropy"
        self._update.start_epoch(epoch)
        for first in range(0, n, size):
            if tick(first / n):
                return None
            index = orders[:, first : first + size]
            x, y = self._gather(self._x, index), self._gather(self._y, index)
            outputs = self.network.forward(x)
            losses = row_losses(self.description.loss, outputs, y).mean(dim=1)
            gradients = torch.autograd.grad(losses.sum(), self.network.leaves)
            with torch.no_grad():
                loss_sum.add_(losses.double(), alpha=index.shape[1])
                if classes:
                    hits += correct(outputs, y)
                self._update.step(torch.cat([gradient.reshape(trials, -1) for gradient in gradients], dim=1))
        return EpochSums(n, self._by_slot(loss_sum), self._by_slot(hits.double()) if classes else None)

    @torch.no_grad()
    def evaluate(self, tick: Tick) -> EvaluationSums | None:
        """See `Engine.evaluate`."""
        n, trials = len(self._x_validation), len(self.description.trials)
        sums = torch.zeros((3, trials), dtype=torch.float64, device=self.device)
        classes = self.description.loss == "cross_entropy"
        for first, last in evaluation_chunks(self.description, n):
            if tick(first / n):
                return None
            x = self._x_validation[first:last].expand(trials, -1, -1)
            y = self._y_validation[first:last].expand(trials, *self._y_validation[first:last].shape)
            outputs = self.network.forward(x)
            sums[0] += row_losses(self.description.loss, outputs, y).sum(dim=1, dtype=torch.float64)
            if classes:
                sums[1] += correct(outputs, y)
            else:
                error = outputs - y
                sums[1] += error.abs().sum(dim=(1, 2), dtype=torch.float64)
                sums[2] += error.double().square().sum(dim=(1, 2))
        loss, second, third = (self._by_slot(row) for row in sums)
        if classes:
            return EvaluationSums(n, loss, correct=second)
        return EvaluationSums(n, loss, absolute=second, squared=third)

    def parameters(self) -> tuple[LayerParameters, ...]:
        """See `Engine.parameters`."""
        arrays = [self._by_slot(leaf.detach()) for leaf in self.network.leaves]
        return tuple(
            LayerParameters(layer.name, arrays[2 * layer.index], arrays[2 * layer.index + 1])
            for layer in self.network.layers
        )

    def finite(self) -> NDArray[np.bool_]:
        """See `Engine.finite`."""
        per_layer: list[NDArray[np.bool_]] = []
        for layer in self.network.layers:
            first, last = self.network.spans_of_layer(layer.index)
            per_layer.append(self._by_slot(torch.isfinite(self.network.flat[:, first:last]).all(dim=1)))
        return np.stack(per_layer, axis=1)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Engine.state`: every leaf, every moment of every leaf, and the number of steps."""
        trials = len(self.description.trials)
        found: dict[str, NDArray[np.generic]] = {"steps": np.full(trials, self._update.steps, dtype=np.int64)}
        for prefix, tensor in self._stored().items():
            array = self._by_slot(tensor)
            for name, shape, (first, last) in self._leaf_places():
                found[f"{prefix}.{name}"] = np.ascontiguousarray(array[:, first:last]).reshape(trials, *shape)
        return found

    def load_state(self, state: State) -> None:
        """See `Engine.load_state`; another engine's record of rounding is left aside."""
        expected = self.state()
        state = {name: array for name, array in state.items() if not name.startswith("residual.")}
        if state.keys() != expected.keys():
            odd = sorted(state.keys() ^ expected.keys())
            raise ValueError(f"the state does not fit this cohort: it differs in {', '.join(odd[:5])}")
        for name, array in expected.items():
            if state[name].shape != array.shape:
                raise ValueError(f"the state's {name} has shape {state[name].shape}, this cohort's {array.shape}")
        trials = len(self.description.trials)
        with torch.no_grad():
            for prefix, tensor in self._stored().items():
                for name, _, (first, last) in self._leaf_places():
                    array = state[f"{prefix}.{name}"].reshape(trials, -1)[self.network.order]
                    tensor[:, first:last] = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
        self._update.steps = int(np.asarray(state["steps"])[0])

    def _make_update(self) -> Update:
        optimizers = [self.description.trials[slot].optimizer for slot in self.network.order]
        kinds = {optimizer.kind for optimizer in optimizers}
        if len(kinds) != 1:
            raise ValueError(f"the trials of a cohort share one kind of optimizer, not {sorted(kinds)}")
        return UPDATES[kinds.pop()](optimizers, self.network.flat, self.description.epochs)

    def _stored(self) -> dict[str, Tensor]:
        return {"parameters": self.network.flat, **self._update.moments}

    def _leaf_places(self) -> list[tuple[str, tuple[int, ...], tuple[int, int]]]:
        return list(zip(self.network.names, self.network.shapes, self.network.spans, strict=True))

    def _gather(self, values: Tensor, index: Tensor) -> Tensor:
        """Rows of each trial's own order: ``index`` is ``[seeds, batch]``, the answer ``[trials, batch, ...]``."""
        rows = values.index_select(0, index.reshape(-1)).view(*index.shape, *values.shape[1:])
        return rows if self._seed_of_trial is None else rows.index_select(0, self._seed_of_trial)

    def _by_slot(self, tensor: Tensor) -> NDArray:
        """A tensor of the network's trial order as an array in slot order; always a copy."""
        return tensor.cpu().numpy()[self.network.place]


def evaluation_chunks(description: CohortDescription, rows: int) -> list[tuple[int, int]]:
    """Cut `rows` into runs (first, last + 1) that keep the widest activation tensor small."""
    widest = max(description.inputs, *(layer.shape[-1] for layer in description.weight_layers))
    size = max(1, min(rows, EVALUATION_FLOATS // (len(description.trials) * widest)))
    return [(first, min(first + size, rows)) for first in range(0, rows, size)]


def to_tensor(array: NDArray, device: str) -> Tensor:
    """The array on a device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def flat_rows(array: NDArray, device: str) -> Tensor:
    """Rows ``[n, ...]`` as ``[n, inputs]`` on a device."""
    return to_tensor(array.reshape(len(array), -1), device)
