"""The initial parameters of a cohort, drawn on the host so that every device and every cohort starts alike."""

import numpy as np
from numpy.typing import NDArray

from services.science.activations import BaseActivation
from services.science.initializers import BaseInitializer, LayerContext
from services.science.models import Perceptron
from services.science.models.layers import WeightLayer
from services.science.streams import Purpose, stream
from services.training.engine import CohortDescription, LayerParameters, TrialPlan

DATA_ROWS = 1024
"""How many of the first training rows a data-dependent initializer looks at."""

FloatArray = NDArray[np.float64]
Drawn = tuple[list[FloatArray], list[FloatArray]]
"""Weights and biases, layer by layer."""


class InitializationError(ValueError):
    """An initializer has no weight for a layer of one trial; `slot` says which."""

    def __init__(self, slot: int, message: str) -> None:
        super().__init__(message)
        self.slot = slot


def draw_layers(description: CohortDescription, x_train: NDArray[np.float32]) -> tuple[LayerParameters, ...]:
    """Draw every layer of every trial in slot order; float64 draws rounded to float32.

    Weights come from ``stream(seed, weights, layer)``, biases from ``stream(seed, biases, layer)``. A data-dependent
    initializer then rescales its draw on the first `DATA_ROWS` training rows.

    Raises:
        InitializationError: an initializer that refuses a layer's shape or place, or the sort of network.
    """
    layers = description.weight_layers
    cache: dict[tuple[object, ...], Drawn] = {}
    drawn: list[Drawn] = []
    for slot, trial in enumerate(description.trials):
        key = (trial.initializer, trial.seed, trial.activation if _looks_at_activation(trial.initializer) else None)
        if key not in cache:
            try:
                cache[key] = _draw_trial(trial, layers)
            except ValueError as error:
                raise InitializationError(slot, f"initializer {trial.initializer.label()}: {error}") from error
            if trial.initializer.data_dependent:
                if not isinstance(description.model, Perceptron) or not description.model.unscaled:
                    raise InitializationError(
                        slot,
                        f"initializer {trial.initializer.label()} scales dense layers one after the other and does not "
                        f"know the model {description.model.label()}; use another initializer, or a plain mlp",
                    )
                rows = x_train[:DATA_ROWS].reshape(min(DATA_ROWS, len(x_train)), -1).astype(np.float64)
                scale_to_unit_variance(*cache[key], trial.activation, rows, trial.initializer)
        drawn.append(cache[key])
    return tuple(
        LayerParameters(
            layer.name,
            np.stack([weights[layer.index] for weights, _ in drawn]).astype(np.float32),
            np.stack([biases[layer.index] for _, biases in drawn]).astype(np.float32),
        )
        for layer in layers
    )


def scale_to_unit_variance(
    weights: list[FloatArray],
    biases: list[FloatArray],
    activation: BaseActivation,
    rows: FloatArray,
    initializer: BaseInitializer,
) -> None:
    """Divide each dense weight, in place and from the input on, until its pre-activations have a variance near 1.

    Mishkin & Matas 2016, algorithm 1. `initializer` holds `tolerance` and `max_iterations`. A layer whose
    pre-activations are constant is left as it is.
    """
    tolerance, most = (getattr(initializer, name) for name in ("tolerance", "max_iterations"))
    for weight, bias in zip(weights, biases, strict=True):
        for _ in range(most):
            variance = float((rows @ weight + bias).var())
            if variance == 0.0 or abs(variance - 1.0) < tolerance:
                break
            weight /= np.sqrt(variance)  # noqa: PLW2901 - in place
        rows = activation.value(rows @ weight + bias)


def _looks_at_activation(initializer: BaseInitializer) -> bool:
    return initializer.needs_activation or initializer.data_dependent


def _draw_trial(trial: TrialPlan, layers: tuple[WeightLayer, ...]) -> Drawn:
    weights: list[FloatArray] = []
    biases: list[FloatArray] = []
    for layer in layers:
        context = LayerContext(
            fan_in=layer.fan_in,
            fan_out=layer.fan_out,
            layer=layer.index,
            depth=len(layers),
            is_output=layer.is_output,
            activation=trial.activation,
            before=tuple(earlier.shape for earlier in layers[: layer.index]),
        )
        weights.append(trial.initializer.draw(layer.shape, stream(trial.seed, Purpose.WEIGHTS, layer.index), context))
        bias_shape = (layer.shape[1] if len(layer.shape) == 2 else layer.shape[0],)
        bias_stream = stream(trial.seed, Purpose.BIASES, layer.index)
        biases.append(trial.initializer.draw_bias(bias_shape, bias_stream, context))
    return weights, biases
