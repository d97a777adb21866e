"""Layer diagnostics of networks with convolutions and normalisations, recomputed with SciPy and NumPy."""

from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate2d

from services.science.diagnostics import Diagnostics
from services.science.streams import Purpose, stream
from services.training.diagnostics import Probe
from services.training.engine import CohortDescription, Rows
from services.training.initial import draw_layers
from services.training.observer import LayerReport
from tests.support.training import alone, described, engine_of


def rows() -> Rows:
    rng = stream(14, Purpose.SYNTHETIC)
    x = rng.normal(size=(70, 2, 6, 6)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int64)
    return Rows(x[:40], y[:40], x[40:], y[40:])


Measured = list[tuple[dict[str, np.ndarray], tuple[LayerReport, ...]]]
"""The state and the layers before and after the first epoch."""


def measured(model: dict[str, Any], slots: list[int] | None = None) -> tuple[CohortDescription, Measured]:
    document = {
        "dataset": "mnist",
        "model": {"kind": "cnn", "blocks": [[3]], "dense": [4], **model},
        "activation": ["relu", "tanh"],
        "initializer": "he_normal",
        "batch_size": 20,
        "epochs": 1,
        "seeds": 2,
    }
    description = described(document, rows(), outputs=2)
    if slots is not None:
        description = alone(description, slots)
    probe = Probe(description, Diagnostics(), draw_layers(description, rows().x_train), rows(), "cpu")
    engine, healthy = engine_of(description, rows()), np.ones(len(description.trials), dtype=np.bool_)
    before = engine.parameters()
    measurements = [(engine.state(), probe.measure(engine.state(), None, healthy))]
    assert engine.train_epoch(1, lambda _fraction: False) is not None
    return description, [*measurements, (engine.state(), probe.measure(engine.state(), before, healthy))]


@pytest.mark.parametrize("position", ["before", "after"])
def test_the_first_convolution_is_measured_as_scipy_correlates(position: str) -> None:
    description, measurements = measured({"batch_norm": {"position": position, "epsilon": 0.001}})
    for state, layers in measurements:
        for item in layers:
            if item.layer != "conv_0":
                continue
            kernels = state["parameters.conv_0.weight"][item.slot].astype(np.float64)
            bias = state["parameters.conv_0.bias"][item.slot]
            pre = np.stack(
                [
                    [
                        sum(correlate2d(image[c], kernel[c], mode="same") for c in range(2)) + shift
                        for kernel, shift in zip(kernels, bias, strict=True)
                    ]
                    for image in rows().x_validation.astype(np.float64)
                ]
            )
            if position == "before":
                mean, variance = (f(pre, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
                scale, shift = (
                    state[f"parameters.conv_0.{name}"][item.slot].reshape(1, -1, 1, 1) for name in ("gamma", "beta")
                )
                pre = scale * (pre - mean) / np.sqrt(variance + 0.001) + shift
            post = description.trials[item.slot].activation.value(pre)
            assert item.values["pre_activation_mean"] == pytest.approx(pre.mean(), rel=1e-4, abs=1e-5)
            assert item.values["pre_activation_variance"] == pytest.approx(pre.var(), rel=1e-4)
            assert item.values["activation_variance"] == pytest.approx(post.var(), rel=1e-4)
            assert item.values["histogram"]["below"] + sum(item.values["histogram"]["counts"]) == post.size
            assert item.values["units"] == item.values["distinct_units"] == 3


def test_every_layer_has_numbers_and_a_trial_has_the_same_alone() -> None:
    description, fused = measured({"batch_norm": True})
    assert [layer.name for layer in description.weight_layers] == ["conv_0", "dense_1", "dense_2"]
    _, single = measured({"batch_norm": True}, [2])
    for (_, layers), (_, layers_alone) in zip(fused, single, strict=True):
        own = [item for item in layers if item.slot == 2]
        assert [item.layer for item in own] == ["conv_0", "dense_1", "dense_2"]
        for one, other in zip(own, layers_alone, strict=True):
            assert one.values.keys() == other.values.keys()
            for name in ("gradient_norm", "backward_second_moment", "effective_rank", "pre_activation_variance"):
                assert one.values[name] == pytest.approx(other.values[name], rel=1e-5)
            assert one.values["gradient_norm"] > 0.0
