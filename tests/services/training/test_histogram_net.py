"""The layers of the histogram net before training, beside independently simulated ones of the same figures.

The numbers are means over five simulations in NumPy of ten layers of 500 units on 1,000 rows N(0, 1)^500; see
CS231n, Neural networks 2, for the figures themselves.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.science.diagnostics import Diagnostics
from services.science.presets import PRESETS
from services.training.diagnostics import Probe
from services.training.initial import draw_layers
from tests.support.training import engine_of, prepared

SEEDS = 3
NOTHING = Path("no-such-folder")
TINY = {"kind": "scaled_normal", "scale": 0.01}
PLAIN = {"kind": "scaled_normal", "scale": 1.0}

Layers = list[dict[str, float]]


def layers_of(preset: str, activation: str, initializer: Any) -> Layers:
    """The numbers of each hidden layer at epoch 0, averaged over seeds."""
    document = {**PRESETS[preset].spec, "activation": activation, "initializer": initializer, "seeds": SEEDS}
    document.pop("hypotheses")
    assert activation in PRESETS[preset].spec["activation"]
    assert initializer in PRESETS[preset].spec["initializer"]
    description, rows = prepared(document, NOTHING)
    initial = draw_layers(description, rows.x_train)
    probe = Probe(description, Diagnostics(quantities=("moments", "saturation")), initial, rows, "cpu")
    reports = probe.measure(engine_of(description, rows).state(), None, np.ones(SEEDS, dtype=bool))
    by_layer = [[report.values for report in reports if report.layer_index == index] for index in range(10)]
    return [{name: float(np.mean([trial[name] for trial in trials])) for name in trials[0]} for trials in by_layer]


def deviations(layers: Layers) -> np.ndarray:
    return np.sqrt([layer["activation_variance"] for layer in layers])


def test_tanh_loses_a_tiny_signal_layer_by_layer() -> None:
    expected = [0.2135, 0.04755, 0.0106, 0.00237, 5.31e-4, 1.19e-4, 2.66e-5, 5.9e-6, 1.3e-6, 3.0e-7]
    np.testing.assert_allclose(deviations(layers_of("histogram_net", "tanh", TINY)), expected, rtol=0.05)


def test_tanh_saturates_under_plain_normal_weights() -> None:
    layers = layers_of("histogram_net", "tanh", PLAIN)
    np.testing.assert_allclose(deviations(layers), 0.982, atol=0.002)
    # |tanh| above 0.98 is 91.7 % of the activations; a slope below 5 % begins at |tanh| = 0.975.
    np.testing.assert_allclose([layer["saturated_fraction"] for layer in layers], 0.92, atol=0.02)


def test_tanh_under_xavier() -> None:
    expected = [0.6277, 0.4855, 0.4070, 0.3567, 0.3209, 0.2938, 0.2727, 0.2550, 0.2407, 0.2279]
    layers = layers_of("histogram_net", "tanh", "xavier_fan_in")
    np.testing.assert_allclose(deviations(layers), expected, rtol=0.05)


@pytest.mark.parametrize(("initializer", "shrinks"), [("xavier_fan_in", 0.5), ("kaiming_normal", 1.0)])
def test_relu_halves_its_variance_under_xavier_and_keeps_it_under_he(initializer: str, shrinks: float) -> None:
    layers = layers_of("histogram_net", "relu", initializer)
    first_mean, first_std = (0.3988, 0.5838) if shrinks < 1 else (0.564, 0.8256)
    scale = shrinks ** (np.arange(10) / 2)
    # Between runs the deviation of the tenth layer spreads by 0.19 under He: about a tenth for the mean of three.
    tolerance = 0.06 + 0.03 * np.arange(10)
    means = [layer["activation_mean"] for layer in layers]
    assert (np.abs(np.array(means) / (first_mean * scale) - 1) < tolerance).all()
    assert (np.abs(deviations(layers) / (first_std * scale) - 1) < tolerance).all()


@pytest.mark.parametrize(
    ("initializer", "std"), [(TINY, 0.01), (PLAIN, 1.0), ("xavier_fan_in", 500**-0.5), ("kaiming_normal", 250**-0.5)]
)
def test_batch_norm_makes_the_scale_irrelevant(initializer: Any, std: float) -> None:
    layers = layers_of("histogram_net_batch_norm", "relu", initializer)
    spread = 1.0  # of what comes in, over the rows
    for layer in layers:
        variance = 500 * std**2 * spread
        # All but 1, and 0.97 where the weights are so small that epsilon (0.001) takes its share.
        share = np.sqrt(variance / (variance + 0.001))
        assert layer["pre_activation_mean"] == pytest.approx(0.0, abs=1e-5)
        assert layer["activation_mean"] == pytest.approx(share / np.sqrt(2 * np.pi), rel=0.01)
        assert np.sqrt(layer["activation_variance"]) == pytest.approx(share * 0.58382, rel=0.01)
        assert layer["saturated_fraction"] == pytest.approx(0.5, abs=0.01)
        spread = layer["activation_variance"]
