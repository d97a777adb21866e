"""The reference engine: a cohort as one PyTorch program over a stacked trial axis, gradients by autograd."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.science.models.layers import Evaluation
from services.training.dropout import DropoutMasks, Masks
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
from services.training.network import StackedNetwork
from services.training.normalization import Normalizer, PooledStatistics, by_batch
from services.training.order import distinct_seeds, epoch_orders
from services.training.signs import SureSigns
from services.training.updates import UPDATES, Update

EVALUATION_FLOATS = 1_000_000
"""Most numbers in one activation tensor of an evaluation chunk: 4 MB, which keeps memory flat and caches warm."""


RECALIBRATION_ROWS = 8192
"""Training rows, from the first on, whose statistics stand for those of the training set."""


class EagerEngine:
    """Trains every trial of a cohort at once; see `services.training.engine.Engine`.

    The optimizer moves master weights and moments in float64; forward and backward use the weights rounded to float32.
    """

    name = "eager"

    def __init__(
        self, description: CohortDescription, initial: Sequence[LayerParameters], rows: Rows, device: str
    ) -> None:
        self.device = device
        self.description = description
        self.network = StackedNetwork(description, initial, device)
        self._master = self.network.flat.double()
        self._x, self._x_validation = (network_rows(self.network, x, device) for x in (rows.x_train, rows.x_validation))
        self._y, self._y_validation = (to_tensor(y, device) for y in (rows.y_train, rows.y_validation))
        self._seeds, seed_of_slot = distinct_seeds(tuple(trial.seed for trial in description.trials))
        seed_of_trial = seed_of_slot[self.network.order]
        self._one_each = np.array_equal(seed_of_trial, np.arange(len(self._seeds)))
        self._seed_of_trial = torch.from_numpy(seed_of_trial).to(device)
        self._masks = DropoutMasks(self.network.stages, self._seeds, device)
        self._update = self._make_update()
        self._signs = SureSigns(self._y) if description.loss == "mae" else None

    def train_epoch(self, epoch: int, tick: Tick) -> EpochSums | None:
        """See `Engine.train_epoch`."""
        n, size = len(self._x), self.description.batch_size
        trials = len(self.description.trials)
        orders = torch.from_numpy(epoch_orders(self._seeds, epoch, n)).to(self.device)
        loss_sum = torch.zeros(trials, dtype=torch.float64, device=self.device)
        hits = torch.zeros(trials, dtype=torch.int64, device=self.device)
        classes = self.description.classifies
        self._update.start_epoch(epoch)
        self._masks.start_epoch(epoch)
        for first in range(0, n, size):
            index = orders[:, first : first + size]
            masks = self._masks.draw(index.shape[1])
            found: list[Tensor] = []
            for part in self.network.parts:
                if tick((first + size * part.start / trials) / n):
                    return None
                y = self._gather(self._y, index, part)
                leaves = self.network.leaves_of(part)
                outputs = self.network.forward(
                    self._gather(self._x, index, part),
                    part=part,
                    normalizer=self.network.moving.training(part),
                    masks={layer: self._of_trials(mask, part) for layer, mask in masks.items()},
                    leaves=leaves,
                )
                if self._signs is not None:
                    exact = partial(self._exact_outputs, index=index, masks=masks, first=part.start)
                    outputs, y = self._signs.settle(outputs, y, exact)
                losses = row_losses(self.description.loss, outputs, y).mean(dim=1)
                gradients = torch.autograd.grad(losses.sum(), leaves)
                with torch.no_grad():
                    loss_sum[part].add_(losses.double(), alpha=index.shape[1])
                    if classes:
                        hits[part] += correct(self.description.loss, outputs, y)
                    found.append(torch.cat([gradient.reshape(len(losses), -1) for gradient in gradients], dim=1))
            self._update.step(found[0] if len(found) == 1 else torch.cat(found))
            self.network.flat.copy_(self._master)
        return EpochSums(n, self._by_slot(loss_sum), self._by_slot(hits.double()) if classes else None)

    @torch.no_grad()
    def _exact_outputs(self, trial: int, *, index: Tensor, masks: Masks, first: int) -> Tensor:
        """What trial `first` + `trial` gives for a training batch, in float64 and by its master weights."""
        part = slice(first + trial, first + trial + 1)
        places = zip(self.network.spans, self.network.shapes, strict=True)
        return self.network.forward(
            self._gather(self._x, index, part).double(),
            part=part,
            normalizer=by_batch,
            masks={layer: self._of_trials(mask, part) for layer, mask in masks.items()},
            leaves=[self._master[part, a:b].view(1, *shape) for (a, b), shape in places],
        ).squeeze(0)

    @torch.no_grad()
    def evaluate(self, tick: Tick) -> EvaluationSums | None:
        """See `Engine.evaluate`."""
        norms = [stage.batch_norm for stage in self.network.stages if stage.batch_norm is not None]
        kinds = norms[0].evaluation if norms else ("moving",)
        found: dict[str, EvaluationSums] = {}
        for kind in kinds:
            sums = self._evaluate(kind, tick)
            if sums is None:
                return None
            found[kind] = sums
        return replace(found.pop(kinds[0]), others=found)

    def _evaluate(self, kind: Evaluation, tick: Tick) -> EvaluationSums | None:
        """Measure every trial on the validation rows under one sort of batch norm statistics."""
        n, trials = len(self._x_validation), len(self.description.trials)
        sums = torch.zeros((3, trials), dtype=torch.float64, device=self.device)
        ends = torch.tensor([[torch.inf], [-torch.inf]], device=self.device).repeat(1, trials)
        size = self.description.batch_size if kind == "batch" else evaluation_size(self.network)
        for part in self.network.parts:
            together = part.stop - part.start
            normalizer = self._normalizer(kind, part, tick)
            for first, last in chunks(n, size):
                if normalizer is None or tick((part.start + first / n * together) / trials):
                    return None
                x, y = (values[first:last].unsqueeze(0) for values in (self._x_validation, self._y_validation))
                y = y.expand(together, *y.shape[1:])
                outputs = self.network.forward(x.expand(together, *x.shape[1:]), part=part, normalizer=normalizer)
                sums[0, part] += row_losses(self.description.loss, outputs, y).sum(dim=1, dtype=torch.float64)
                if self.description.classifies:
                    sums[1, part] += correct(self.description.loss, outputs, y)
                else:
                    error = outputs - y
                    sums[1, part] += error.abs().sum(dim=(1, 2), dtype=torch.float64)
                    sums[2, part] += error.double().square().sum(dim=(1, 2))
                    low, high = outputs.flatten(1).aminmax(dim=1)
                    ends[0, part] = torch.minimum(ends[0, part], low)
                    ends[1, part] = torch.maximum(ends[1, part], high)
        loss, second, third = (self._by_slot(row) for row in sums)
        if self.description.classifies:
            return EvaluationSums(n, loss, correct=second)
        low, high = (self._by_slot(row.double()) for row in ends)
        return EvaluationSums(n, loss, absolute=second, squared=third, reach=(low, high))

    def _normalizer(self, kind: Evaluation, part: slice, tick: Tick) -> Normalizer | None:
        """How batch norm normalises validation rows; None when `tick` asked to stop."""
        if kind == "moving":
            return self.network.moving.present(part)
        if kind == "batch":
            return by_batch
        pooled = PooledStatistics()
        rows = self._x[:RECALIBRATION_ROWS]
        for first in range(0, len(rows), self.description.batch_size):
            if tick(0.0):
                return None
            x = rows[first : first + self.description.batch_size].unsqueeze(0)
            x = x.expand(part.stop - part.start, *x.shape[1:])
            self.network.forward(x, part=part, normalizer=pooled.add)
        return pooled.pooled

    def parameters(self) -> tuple[LayerParameters, ...]:
        """See `Engine.parameters`."""
        arrays = [self._by_slot(leaf.detach()) for leaf in self.network.leaves]
        return tuple(
            LayerParameters(layer.name, arrays[2 * layer.index], arrays[2 * layer.index + 1])
            for layer in self.network.layers
        )

    def finite(self) -> NDArray[np.bool_]:
        """See `Engine.finite`."""
        return self.network.finite()[self.network.place]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Engine.state`: every leaf, what rounding took from it, its moments, moving statistics, the steps."""
        trials = len(self.description.trials)
        found: dict[str, NDArray[np.generic]] = {"steps": np.full(trials, self._update.steps, dtype=np.int64)}
        for prefix, tensor in self._stored().items():
            array = self._by_slot(tensor)
            for name, shape, (first, last) in self._leaf_places():
                found[f"{prefix}.{name}"] = np.ascontiguousarray(array[:, first:last]).reshape(trials, *shape)
        found.update({name: self._by_slot(buffer) for name, buffer in self.network.moving.buffers.items()})
        return found

    def load_state(self, state: State) -> None:
        """See `Engine.load_state`."""
        expected = self.state()
        if state.keys() != expected.keys():
            odd = sorted(state.keys() ^ expected.keys())
            raise ValueError(f"the state does not fit this cohort: it differs in {', '.join(odd[:5])}")
        for name, array in expected.items():
            if state[name].shape != array.shape:
                raise ValueError(f"the state's {name} has shape {state[name].shape}, this cohort's {array.shape}")
        trials = len(self.description.trials)
        with torch.no_grad():
            stored = self._stored()
            for prefix, tensor in stored.items():
                for name, _, (first, last) in self._leaf_places():
                    array = state[f"{prefix}.{name}"].reshape(trials, -1)[self.network.order]
                    tensor[:, first:last] = torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
            torch.add(stored["residual"], self.network.flat, out=self._master)
            for name, buffer in self.network.moving.buffers.items():
                buffer.copy_(to_tensor(state[name][self.network.order], self.device))
        self._update.steps = int(np.asarray(state["steps"])[0])

    def _make_update(self) -> Update:
        optimizers = [self.description.trials[slot].optimizer for slot in self.network.order]
        kinds = {optimizer.kind for optimizer in optimizers}
        if len(kinds) != 1:
            raise ValueError(f"the trials of a cohort share one kind of optimizer, not {sorted(kinds)}")
        return UPDATES[kinds.pop()](optimizers, self._master, self.description.epochs)

    def _stored(self) -> dict[str, Tensor]:
        """Weights in float32, what rounding took from the master weights, exactly, and the moments; ``[T, P]`` each."""
        residual = self._master - self.network.flat
        return {
            "parameters": self.network.flat,
            "residual": torch.where(residual.isfinite(), residual, 0.0),
            **self._update.moments,
        }

    def _leaf_places(self) -> list[tuple[str, tuple[int, ...], tuple[int, int]]]:
        return list(zip(self.network.names, self.network.shapes, self.network.spans, strict=True))

    def _gather(self, values: Tensor, index: Tensor, part: slice) -> Tensor:
        """Rows of each trial's own order: ``index`` is ``[seeds, batch]``, the answer ``[trials, batch, ...]``."""
        if part == self.network.everyone:
            rows = values.index_select(0, index.reshape(-1)).view(*index.shape, *values.shape[1:])
            return self._of_trials(rows, part)
        own = self._of_trials(index, part)
        return values.index_select(0, own.reshape(-1)).view(*own.shape, *values.shape[1:])

    def _of_trials(self, values: Tensor, part: slice) -> Tensor:
        """From one entry per seed to one per trial."""
        if self._one_each:
            return values[part]
        return values.index_select(0, self._seed_of_trial[part])

    def _by_slot(self, tensor: Tensor) -> NDArray:
        """A tensor of the network's trial order as an array in slot order; always a copy."""
        return tensor.cpu().numpy()[self.network.place]


def evaluation_size(network: StackedNetwork) -> int:
    """Rows of an evaluation chunk that keep the widest activation tensor small."""
    widest = max(stage.places * stage.layer.channels for stage in network.stages)
    together = max(part.stop - part.start for part in network.parts)
    return max(1, EVALUATION_FLOATS // (together * max(widest, network.stages[0].layer.fan_in)))


def chunks(rows: int, size: int) -> list[tuple[int, int]]:
    """Cut `rows` into runs (first, last + 1) of `size`; the last may be shorter."""
    return [(first, min(first + size, rows)) for first in range(0, rows, size)]


def to_tensor(array: NDArray, device: str) -> Tensor:
    """The array on a device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def network_rows(network: StackedNetwork, array: NDArray, device: str) -> Tensor:
    """Rows ``[n, ...]`` as the network takes them: images as they are, anything else as ``[n, inputs]``."""
    return to_tensor(array if network.images else array.reshape(len(array), -1), device)
