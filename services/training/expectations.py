"""What theory expects of the untrained networks of a cohort, to stand beside what is measured of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.science.layer_scales import layer_scales
from services.science.theory.propagation import second_moments
from services.training.engine import CohortDescription

Expected = list[list[dict[str, Any]]]
"""The numbers by slot and layer."""


def expected_layers(description: CohortDescription, x: NDArray[np.float32]) -> Expected | None:
    """Second moments of the pre-activations, and of the gradients there over those at the output, of each slot.

    `predicted_second_moment` is to be compared with mean^2 + variance of the pre-activations on the rows `x`;
    `predicted_backward_ratio` with a layer's backward_second_moment over the output layer's. Both None where theory has
    no number.

    Returns:
        None for a network of another sort than plain dense layers, which the theory is not about.
    """
    layers = description.weight_layers
    model = description.model
    extras = ("batch_norm", "layer_norm", "residual", "dropout")
    if any(len(layer.shape) != 2 for layer in layers) or any(getattr(model, name, None) for name in extras):
        return None
    arriving = float(np.mean(np.square(x, dtype=np.float64)))
    widths = np.array([layer.fan_out for layer in layers], dtype=np.float64)
    predicted: dict[tuple[str, str], list[dict[str, Any]]] = {}
    expected: Expected = []
    for trial in description.trials:
        arm = (trial.activation.label(), trial.initializer.label())
        if arm not in predicted:
            try:
                scales = layer_scales(trial.activation, trial.initializer, layers, arriving)
                moments, gradients = second_moments(trial.activation, scales, arriving)
            except ValueError:
                moments, gradients = [np.nan] * len(layers), np.full(len(layers), np.nan)
            backward = gradients * widths[-1] / widths
            predicted[arm] = [
                {"predicted_second_moment": _number(moment), "predicted_backward_ratio": _number(ratio)}
                for moment, ratio in zip(moments, backward, strict=True)
            ]
        expected.append(predicted[arm])
    return expected


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
