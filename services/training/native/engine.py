"""The kernel as a training engine: multilayer perceptrons on the CPU, without gated or trained activations."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from services.science.models import Perceptron
from services.training.engine import (
    CohortDescription,
    EpochSums,
    EvaluationSums,
    LayerParameters,
    Rows,
    State,
    Tick,
)
from services.training.native.build import KernelUnavailableError
from services.training.native.description import NativeDescription
from services.training.native.description import unsupported as kernel_unsupported
from services.training.native.kernel import NativeCohort
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


def unsupported(description: CohortDescription) -> str | None:
    """Why this engine cannot train a cohort on this machine, or None if it can."""
    if not isinstance(description.model, Perceptron) or not description.model.plain:
        return f"the kernel has plain multilayer perceptrons only, not {description.model.label()}"
    if len({trial.optimizer.kind for trial in description.trials}) != 1:
        return "the trials of a cohort share one kind of optimizer"
    learned = [trial.activation.kind for trial in description.trials if trial.activation.learned]
    if learned:
        return f"the kernel has no trained activations such as {learned[0]}"
    reason = kernel_unsupported(_native(description))
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

    Raises:
        ValueError: a cohort the kernel cannot train; `unsupported` says so beforehand.
        KernelUnavailableError: no compiler.
    """

    name = "native"
    device = "cpu"

    def __init__(
        self, description: CohortDescription, initial: Sequence[LayerParameters], rows: Rows, threads: int
    ) -> None:
        if reason := unsupported(description):
            raise ValueError(reason)
        self.description = description
        self._names = [layer.name for layer in initial]
        weights, biases = [layer.weight for layer in initial], [layer.bias for layer in initial]
        self._cohort = NativeCohort(_native(description), weights, biases, threads)
        self._cohort.set_training_rows(_flat(rows.x_train), rows.y_train)
        self._cohort.set_validation_rows(_flat(rows.x_validation), rows.y_validation)
        seeds, seed_of_slot = distinct_seeds(tuple(trial.seed for trial in description.trials))
        self._orders = OrdersAhead(seeds, len(rows.x_train), description.epochs)
        self._seed_of_slot = seed_of_slot.astype(np.int32)
        self._classes = description.classifies
        kind = description.trials[0].optimizer.kind
        self._moments = MOMENTS[kind][: self._cohort.moment_slots]

    def train_epoch(self, epoch: int, tick: Tick) -> EpochSums | None:
        """See `Engine.train_epoch`."""
        orders = self._orders.take(epoch)
        epochs = self.description.epochs
        rates = np.array([trial.optimizer.learning_rate_at(epoch, epochs) for trial in self.description.trials])
        sums = self._cohort.run_epoch(orders, self._seed_of_slot, rates, tick)
        if sums is None:
            return None
        return EpochSums(sums.rows, sums.loss, sums.correct.astype(np.float64) if self._classes else None)

    def evaluate(self, tick: Tick) -> EvaluationSums | None:
        """See `Engine.evaluate`."""
        sums = self._cohort.evaluate(tick)
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
        """See `Engine.state`: weights and biases, what rounding took from them, the optimizer's arrays, the steps."""
        found: dict[str, NDArray[np.generic]] = {"steps": self._cohort.steps.copy()}
        found.update((name, view.copy()) for name, view in self._places())
        return found

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

    def _places(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Writable views of all numbers by name, in slot order."""
        groups = [("parameters", self._cohort.parameter_views()), ("residual", self._cohort.residual_views())]
        groups += [(moment, self._cohort.moment_views(slot)) for slot, moment in enumerate(self._moments)]
        for prefix, layers in groups:
            for name, layer in zip(self._names, layers, strict=True):
                yield f"{prefix}.{name}.weight", layer[:, :-1]
                yield f"{prefix}.{name}.bias", layer[:, -1]


def _native(description: CohortDescription) -> NativeDescription:
    assert isinstance(description.model, Perceptron)
    return NativeDescription(
        widths=(description.inputs, *description.model.widths, description.outputs),
        loss=description.loss,
        batch_size=description.batch_size,
        activations=[trial.activation.model_dump() for trial in description.trials],
        optimizers=[trial.optimizer.model_dump() for trial in description.trials],
    )


def _flat(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows ``[n, ...]`` as ``[n, inputs]``."""
    return x.reshape(len(x), -1)
