"""The reference engine: a cohort as one PyTorch program over a stacked trial axis, gradients by autograd."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.science.limits import EVALUATION_FLOATS, RECALIBRATION_ROWS
from services.science.models.layers import Evaluation
from services.science.optimizers import BaseOptimizer
from services.training.dropout import Masks
from services.training.engine import (
    CohortDescription,
    EpochSums,
    EvaluationSums,
    LayerParameters,
    Rows,
    State,
    Tick,
    no_sums,
)
from services.training.lanes import Lanes, Task
from services.training.losses import correct, row_losses
from services.training.network import StackedNetwork
from services.training.normalization import PooledStatistics, by_batch
from services.training.order import distinct_seeds, epoch_orders
from services.training.part import Part
from services.training.signs import SureSigns
from services.training.tally import Tally


class EagerEngine:
    """Trains every trial of a cohort at once; see `services.training.engine.Engine`.

    The optimizer moves master weights and moments in float64; forward and backward use the weights rounded to float32.
    """

    name = "eager"

    def __init__(
        self,
        description: CohortDescription,
        initial: Sequence[LayerParameters],
        rows: Rows,
        device: str,
        threads: int = 1,
    ) -> None:
        self.device = device
        self.description = description
        self.network = StackedNetwork(description, initial, device)
        self._master = self.network.flat.double()
        self._x, self._x_validation = (network_rows(self.network, x, device) for x in (rows.x_train, rows.x_validation))
        self._y, self._y_validation = (to_tensor(y, device) for y in (rows.y_train, rows.y_validation))
        self._seeds, seed_of_slot = distinct_seeds(tuple(trial.seed for trial in description.trials))
        seed_of_trial, optimizers = seed_of_slot[self.network.order], self._optimizers()
        self._part_of = partial(
            Part.of,
            seed_of_trial=seed_of_trial,
            seeds=self._seeds,
            optimizers=optimizers,
            master=self._master,
            stages=self.network.stages,
            epochs=description.epochs,
        )
        self._parts = [self._part_of(trials) for trials in self.network.parts]
        self._steps = np.zeros(len(description.trials), dtype=np.int64)
        self._lanes = Lanes.share(len(self._parts), threads if device == "cpu" else 1)
        self._signs = SureSigns(self._y) if description.loss == "mae" else None

    def train_epoch(self, epoch: int, tick: Tick, begun: EpochSums | None = None) -> EpochSums:
        """See `Engine.train_epoch`."""
        n, trials, classifies = len(self._x), len(self.description.trials), self.description.classifies
        orders = torch.from_numpy(epoch_orders(self._seeds, epoch, n)).to(self.device)
        begun = begun or no_sums(trials, n, self.description.batch_size, classifies=classifies)
        tally = Tally.of(begun, self.network.order, self.device)
        tasks = [self._advance(part, epoch, orders, tally) for part in self._parts]
        self._lanes.run(tasks, tick, begun.share * len(tasks))
        hits = self._by_slot(tally.hits.double()) if classifies else None
        batches = tally.batches[self.network.place]
        return replace(begun, loss=self._by_slot(tally.loss), correct=hits, batches=batches)

    def _advance(self, part: Part, epoch: int, orders: Tensor, tally: Tally) -> Task:
        """Train the trials of a part to the end of the epoch; any that stand behind come up alone first.

        The kernel, which trains each by itself, leaves them so.
        """
        foremost = tally.foremost(part.trials)
        together = part.trials.stop - part.trials.start
        for place in np.flatnonzero(tally.batches[part.trials] < foremost):
            trial = part.trials.start + int(place)
            lone = self._part_of(slice(trial, trial + 1))
            moments = part.update.moments.items()
            lone.update.moments = {name: moment[place : place + 1] for name, moment in moments}
            for share in self._train(lone, epoch, orders, tally, int(tally.batches[trial]), foremost):
                yield share / together
        yield from self._train(part, epoch, orders, tally, foremost, tally.batches_in_all)

    def _train(self, part: Part, epoch: int, orders: Tensor, tally: Tally, first: int, last: int) -> Task:
        """Train the trials of a part from one batch of an epoch to another, a batch at a time."""
        trials, n, size = part.trials, len(self._x), self.description.batch_size
        part.start_epoch(epoch, min(n, first * size), int(self._steps[trials].max()))
        own = orders[part.seeds]
        for begin in range(first * size, min(n, last * size), size):
            index = part.of_trials(own[:, begin : begin + size])
            masks = part.masks(index.shape[1])
            x, y = _gather(self._x, index), _gather(self._y, index)
            leaves = self.network.lone_leaves or self.network.leaves_of(trials)
            normalizer = self.network.moving.training(trials)
            outputs = self.network.forward(x, part=trials, normalizer=normalizer, masks=masks, leaves=leaves)
            if self._signs is not None:
                exact = partial(self._exact_outputs, x=x, masks=masks, first=trials.start)
                outputs, y = self._signs.settle(outputs, y, exact)
            losses = row_losses(self.description.loss, outputs, y).mean(dim=1)
            gradients = torch.autograd.grad(losses.sum(), leaves)
            with torch.no_grad():
                hits = correct(self.description.loss, outputs, y) if self.description.classifies else None
                tally.add(trials, begin // size, index.shape[1], losses, hits)
                part.update.step(torch.cat([gradient.reshape(len(losses), -1) for gradient in gradients], dim=1))
                self.network.flat[trials].copy_(part.update.flat)
            self._steps[trials] += 1
            yield index.shape[1] / n

    @torch.no_grad()
    def _exact_outputs(self, trial: int, *, x: Tensor, masks: Masks, first: int) -> Tensor:
        """What trial `first` + `trial` gives for a training batch, in float64 and by its master weights."""
        own = slice(trial, trial + 1)
        part = slice(first + trial, first + trial + 1)
        places = zip(self.network.spans, self.network.shapes, strict=True)
        return self.network.forward(
            x[own].double(),
            part=part,
            normalizer=by_batch,
            masks={layer: mask[own] for layer, mask in masks.items()},
            leaves=[self._master[part, a:b].view(1, *shape) for (a, b), shape in places],
        ).squeeze(0)

    def evaluate(self, tick: Tick) -> EvaluationSums | None:
        """See `Engine.evaluate`."""
        norms = [stage.batch_norm for stage in self.network.stages if stage.batch_norm is not None]
        kinds = norms[0].evaluation if norms else ("moving",)
        by_kind: dict[str, EvaluationSums] = {}
        for kind in kinds:
            sums = self._evaluate(kind, tick)
            if sums is None:
                return None
            by_kind[kind] = sums
        return replace(by_kind.pop(kinds[0]), others=by_kind)

    def _evaluate(self, kind: Evaluation, tick: Tick) -> EvaluationSums | None:
        """Measure every trial on the validation rows under one sort of batch norm statistics."""
        n, trials = len(self._x_validation), len(self.description.trials)
        sums = torch.zeros((3, trials), dtype=torch.float64, device=self.device)
        ends = torch.tensor([[torch.inf], [-torch.inf]], device=self.device).repeat(1, trials)
        tasks = [self._measure(kind, trials, sums, ends) for trials in self.network.parts]
        if not self._lanes.run(tasks, tick):
            return None
        loss, second, third = (self._by_slot(row) for row in sums)
        if self.description.classifies:
            return EvaluationSums(n, loss, correct=second)
        low, high = (self._by_slot(row.double()) for row in ends)
        return EvaluationSums(n, loss, absolute=second, squared=third, reach=(low, high))

    def _measure(self, kind: Evaluation, trials: slice, sums: Tensor, ends: Tensor) -> Task:
        """Measure the trials of a part, some rows at a time."""
        n, together = len(self._x_validation), trials.stop - trials.start
        size = self.description.batch_size if kind == "batch" else evaluation_size(self.network)
        pooled = PooledStatistics()
        if kind == "recalibrated":
            for first, last in chunks(min(RECALIBRATION_ROWS, len(self._x)), self.description.batch_size):
                with torch.no_grad():
                    self.network.forward(_repeat(self._x[first:last], together), part=trials, normalizer=pooled.add)
                yield 0.0
        normalizers = {"moving": self.network.moving.present(trials), "batch": by_batch, "recalibrated": pooled.pooled}
        for first, last in chunks(n, size):
            with torch.no_grad():
                x, y = (_repeat(values[first:last], together) for values in (self._x_validation, self._y_validation))
                outputs = self.network.forward(x, part=trials, normalizer=normalizers[kind])
                sums[0, trials] += row_losses(self.description.loss, outputs, y).sum(dim=1, dtype=torch.float64)
                if self.description.classifies:
                    sums[1, trials] += correct(self.description.loss, outputs, y)
                else:
                    error = outputs - y
                    sums[1, trials] += error.abs().sum(dim=(1, 2), dtype=torch.float64)
                    sums[2, trials] += error.double().square().sum(dim=(1, 2))
                    low, high = outputs.flatten(1).aminmax(dim=1)
                    ends[0, trials] = torch.minimum(ends[0, trials], low)
                    ends[1, trials] = torch.maximum(ends[1, trials], high)
            yield (last - first) / n

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
        arrays: dict[str, NDArray[np.generic]] = {"steps": self._steps[self.network.place]}
        for prefix, tensor in self._stored().items():
            array = self._by_slot(tensor)
            for name, shape, (first, last) in self._leaf_places():
                arrays[f"{prefix}.{name}"] = np.ascontiguousarray(array[:, first:last]).reshape(trials, *shape)
        arrays.update({name: self._by_slot(buffer) for name, buffer in self.network.moving.buffers.items()})
        return arrays

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
        self._steps = np.asarray(state["steps"], dtype=np.int64)[self.network.order]
        for part in self._parts:
            for name, moment in part.update.moments.items():
                moment.copy_(stored[name][part.trials])

    def _optimizers(self) -> list[BaseOptimizer]:
        """Those of the trials, in the network's order."""
        return [self.description.trials[slot].optimizer for slot in self.network.order]

    def _stored(self) -> dict[str, Tensor]:
        """Weights in float32, what rounding took from the master weights, exactly, and the moments; ``[T, P]`` each."""
        residual = self._master - self.network.flat
        moments = self._parts[0].update.moments
        return {
            "parameters": self.network.flat,
            "residual": torch.where(residual.isfinite(), residual, 0.0),
            **{name: torch.cat([part.update.moments[name] for part in self._parts]) for name in moments},
        }

    def _leaf_places(self) -> list[tuple[str, tuple[int, ...], tuple[int, int]]]:
        return list(zip(self.network.names, self.network.shapes, self.network.spans, strict=True))

    def _by_slot(self, tensor: Tensor) -> NDArray:
        """A tensor of the network's trial order as an array in slot order; always a copy."""
        return tensor.cpu().numpy()[self.network.place]


def _gather(values: Tensor, index: Tensor) -> Tensor:
    """Rows of each trial's own order: ``index`` is ``[trials, batch]``, the answer ``[trials, batch, ...]``."""
    return values.index_select(0, index.reshape(-1)).view(*index.shape, *values.shape[1:])


def _repeat(rows: Tensor, trials: int) -> Tensor:
    """The same rows for every trial."""
    return rows.unsqueeze(0).expand(trials, *rows.shape)


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
