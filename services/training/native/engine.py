"""The kernel as a training engine: multilayer perceptrons on the CPU."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from services.science.limits import RECALIBRATION_ROWS
from services.science.models import Perceptron
from services.science.models.layers import Evaluation
from services.science.streams import Purpose, second_word
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
from services.training.native.between import Between
from services.training.native.build import KernelUnavailableError
from services.training.native.description import NativeDescription
from services.training.native.description import unsupported as kernel_unsupported
from services.training.native.kernel import NativeCohort, NativeSums
from services.training.native.layout import aligned_zeros
from services.training.native.measured import Ask
from services.training.native.numbers import RESIDUALS
from services.training.native.structures import kernel
from services.training.order import OrdersAhead, distinct_seeds

MOMENTS = {
    "sgd": ("velocity",),
    "adam": ("first_moment", "second_moment"),
    "adamw": ("first_moment", "second_moment"),
    "rmsprop": ("second_moment", "velocity"),
    "adagrad": ("sum_of_squares",),
}
"""Names of the optimizers' arrays in the order the kernel keeps them."""


def untrainable(description: CohortDescription) -> str | None:
    """Why the kernel cannot train a cohort on any machine, or None if it can."""
    if not isinstance(description.model, Perceptron):
        return f"the kernel has multilayer perceptrons only, not {description.model.label()}"
    if len({trial.optimizer.kind for trial in description.trials}) != 1:
        return "the trials of a cohort share one kind of optimizer"
    return kernel_unsupported(_native(description))


def unsupported(description: CohortDescription) -> str | None:
    """Why this engine cannot train a cohort on this machine, or None if it can."""
    reason = untrainable(description)
    if reason is None:
        try:
            kernel()
        except KernelUnavailableError as error:
            return str(error)
    return reason


class NativeEngine:
    """Trains every trial of a cohort with compiled code; see `services.training.engine.Engine`.

    A trial whose loss is not finite stops at that batch, before it changes the parameters.

    Args:
        description: what to train.
        initial: weights and biases of every layer.
        rows: training and validation rows.
        threads: at most so many are used; no number depends on it.
        library: the compiled kernel; default: the one for this machine.

    Raises:
        ValueError: a cohort the kernel cannot train; `unsupported` says so beforehand.
        KernelUnavailableError: no compiler.
    """

    name = "native"
    device = "cpu"

    def __init__(
        self,
        description: CohortDescription,
        initial: Sequence[LayerParameters],
        rows: Rows,
        threads: int,
        library: ctypes.CDLL | None = None,
    ) -> None:
        if reason := untrainable(description) if library else unsupported(description):
            raise ValueError(reason)
        self.description = description
        self._names = [layer.name for layer in initial]
        weights, biases = [layer.weight for layer in initial], [layer.bias for layer in initial]
        self._cohort = NativeCohort(_native(description), weights, biases, threads, library)
        self._cohort.set_training_rows(_flat(rows.x_train), rows.y_train)
        self._cohort.set_validation_rows(_flat(rows.x_validation), rows.y_validation)
        seeds, seed_of_slot = distinct_seeds(tuple(trial.seed for trial in description.trials))
        self.validation_rows, self._training_rows = len(rows.x_validation), len(rows.x_train)
        self._seeds = np.array([trial.seed for trial in description.trials], dtype=np.uint64)
        self._orders = OrdersAhead(seeds, len(rows.x_train), description.epochs)
        self._seed_of_slot = seed_of_slot.astype(np.int32)
        self._classes = description.classifies
        norm = getattr(description.model, "batch_norm", None)
        self._evaluation: tuple[Evaluation, ...] = norm.evaluation if norm else ("moving",)
        kind = description.trials[0].optimizer.kind
        self._moments = MOMENTS[kind][: self._cohort.moment_slots]

    def train_epoch(self, epoch: int, tick: Tick, begun: EpochSums | None = None) -> EpochSums:
        """See `Engine.train_epoch`."""
        orders = self._orders.take(epoch)
        epochs = self.description.epochs
        rates = np.array([trial.optimizer.learning_rate_at(epoch, epochs) for trial in self.description.trials])
        dropout = (self._seeds, second_word(Purpose.DROPOUT, epoch))
        rows, size = self._training_rows, self.description.batch_size
        begun = begun or no_sums(len(rates), rows, size, classifies=self._classes)
        sums = self._cohort.run_epoch(orders, self._seed_of_slot, rates, tick, dropout, begun=_begun(begun))
        assert sums.used is not None
        correct = sums.correct.astype(np.float64) if self._classes else None
        return replace(begun, loss=sums.loss, correct=correct, batches=-(-sums.used // size))

    def evaluate(self, tick: Tick) -> EvaluationSums | None:
        """See `Engine.evaluate`."""
        by_kind: dict[str, EvaluationSums] = {}
        for kind in self._evaluation:
            sums = self._evaluate(kind, tick)
            if sums is None:
                return None
            by_kind[kind] = sums
        return replace(by_kind.pop(self._evaluation[0]), others=by_kind)

    def _evaluate(self, kind: Evaluation, tick: Tick) -> EvaluationSums | None:
        """Measure under one sort of batch norm statistics."""
        statistics = None
        if kind == "recalibrated":
            statistics = self._cohort.pooled_statistics(RECALIBRATION_ROWS, tick)
            if statistics is None:
                return None
        sums = self._cohort.evaluate(tick, statistics, own=kind == "batch")
        if sums is None:
            return None
        if self._classes:
            return EvaluationSums(sums.rows, sums.loss, correct=sums.correct.astype(np.float64))
        return EvaluationSums(
            sums.rows, sums.loss, absolute=sums.absolute, squared=sums.squared, reach=(sums.lowest, sums.highest)
        )

    def parameters(self) -> tuple[LayerParameters, ...]:
        """See `Engine.parameters`."""
        weights, biases = self._cohort.get_parameters()
        return tuple(LayerParameters(*layer) for layer in zip(self._names, weights, biases, strict=True))

    def finite(self) -> NDArray[np.bool_]:
        """See `Engine.finite`."""
        return self._cohort.finite()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """See `Engine.state`: weights, scales, slopes, what rounding took from them, moments, steps."""
        arrays: dict[str, NDArray[np.generic]] = {"steps": self._cohort.steps.copy()}
        arrays.update((name, view.copy()) for name, view in self._places())
        return arrays

    def load_state(self, state: State) -> None:
        """See `Engine.load_state`."""
        places = {"steps": self._cohort.steps, **dict(self._places())}
        if state.keys() != places.keys():
            odd = sorted(state.keys() ^ places.keys())
            raise ValueError(f"the state does not fit this cohort: it differs in {', '.join(odd[:5])}")
        for name, view in places.items():
            if state[name].shape != view.shape:
                raise ValueError(f"the state's {name} has shape {state[name].shape}, this cohort's {view.shape}")
        for name, view in places.items():
            view[...] = state[name]

    def measure(
        self, state: State, ask: Ask, flat_below: NDArray[np.float32], healthy: NDArray[np.bool_]
    ) -> NDArray[np.void]:
        """Look at the layers of a state, not at those being trained; see `NativeCohort.measure`."""
        lines = aligned_zeros((len(self._seeds), self._cohort.layout.length))
        for name, view in self._named("parameters", lines):
            view[...] = state[name]
        return self._cohort.measure(lines, ask, flat_below, healthy)

    def _places(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Writable views of all numbers by name, in slot order."""
        groups = [("parameters", None), ("residual", RESIDUALS)]
        groups += [(moment, slot) for slot, moment in enumerate(self._moments)]
        for prefix, which in groups:
            yield from self._named(prefix, self._cohort.lines(which))
        for name, (mean, variance) in zip(self._names, self._cohort.statistics_views(), strict=False):
            yield f"batch_norm.{name}.mean", mean
            yield f"batch_norm.{name}.variance", variance

    def _named(self, prefix: str, lines: NDArray[np.float32]) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Views of lines ``[T, length]`` that are laid out as the parameters are, by name."""
        layout = self._cohort.layout
        for name, layer in zip(self._names, layout.views(lines), strict=True):
            yield f"{prefix}.{name}.weight", layer[:, :-1]
            yield f"{prefix}.{name}.bias", layer[:, -1]
        for name, slope in zip(self._names, layout.slope_views(lines), strict=False):
            yield f"{prefix}.{name}.activation", slope
        for name, (scale, shift) in zip(self._names, layout.scale_views(lines), strict=False):
            yield f"{prefix}.{name}.gamma", scale
            yield f"{prefix}.{name}.beta", shift


def _native(description: CohortDescription) -> NativeDescription:
    assert isinstance(description.model, Perceptron)
    return NativeDescription(
        widths=(description.inputs, *description.model.widths, description.outputs),
        loss=description.loss,
        batch_size=description.batch_size,
        activations=[trial.activation.model_dump() for trial in description.trials],
        optimizers=[trial.optimizer.model_dump() for trial in description.trials],
        between=_between(description.model),
    )


def _begun(begun: EpochSums) -> NativeSums:
    """The sums of an epoch that has begun as the kernel has them."""
    nothing = np.zeros_like(begun.loss)
    correct = np.zeros_like(begun.batches) if begun.correct is None else begun.correct.astype(np.int64)
    return NativeSums(begun.rows, begun.loss, correct, nothing, nothing, nothing, nothing, used=begun.used)


def _between(model: Perceptron) -> Between:
    rest = Between(dropout=model.dropout, residual=model.residual)
    if norm := model.batch_norm:
        after = norm.position == "after"
        return replace(rest, norm="batch", after=after, epsilon=norm.epsilon, decay=norm.decay)
    if norm := model.layer_norm:
        return replace(rest, norm="layer", after=norm.position == "after", epsilon=norm.epsilon)
    return rest


def _flat(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows ``[n, ...]`` as ``[n, inputs]``."""
    return x.reshape(len(x), -1)
