"""The initial parameters of a cohort, drawn on the host so that every device and every cohort starts alike."""

import numpy as np
from numpy.typing import NDArray

from services.science.initializers import LayerContext
from services.science.models.layers import WeightLayer
from services.science.streams import Purpose, stream
from services.training.engine import CohortDescription, LayerParameters, TrialPlan


class InitializationError(ValueError):
    """An initializer has no weight for a layer of one trial; `slot` says which."""

    def __init__(self, slot: int, message: str) -> None:
        super().__init__(message)
        self.slot = slot


def draw_layers(description: CohortDescription) -> tuple[LayerParameters, ...]:
    """Draw every layer of every trial in slot order; float64 draws rounded to float32.

    Weights come from ``stream(seed, weights, layer)``, biases from ``stream(seed, biases, layer)``.

    Raises:
        InitializationError: an initializer that refuses a layer's shape or place.
    """
    layers = description.weight_layers
    cache: dict[tuple[object, ...], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
    drawn: list[LayerParameters] = []
    for layer in layers:
        weights: list[NDArray[np.float32]] = []
        biases: list[NDArray[np.float32]] = []
        for slot, trial in enumerate(description.trials):
            key = (trial.initializer, trial.seed, layer.index, trial.activation)
            if key not in cache:
                try:
                    cache[key] = _draw(trial, layer, len(layers))
                except ValueError as error:
                    raise InitializationError(slot, f"{trial.initializer.label()}, {layer.name}: {error}") from error
            weight, bias = cache[key]
            weights.append(weight)
            biases.append(bias)
        drawn.append(LayerParameters(layer.name, np.stack(weights), np.stack(biases)))
    return tuple(drawn)


def _draw(trial: TrialPlan, layer: WeightLayer, depth: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    context = LayerContext(
        fan_in=layer.fan_in,
        fan_out=layer.fan_out,
        layer=layer.index,
        depth=depth,
        is_output=layer.is_output,
        activation=trial.activation,
    )
    weight = trial.initializer.draw(layer.shape, stream(trial.seed, Purpose.WEIGHTS, layer.index), context)
    bias_shape = (layer.shape[1] if len(layer.shape) == 2 else layer.shape[0],)
    bias = trial.initializer.draw_bias(bias_shape, stream(trial.seed, Purpose.BIASES, layer.index), context)
    return weight.astype(np.float32), bias.astype(np.float32)
