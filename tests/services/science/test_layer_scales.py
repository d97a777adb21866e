"""Variances from an initializer, held against drawn weights, and predictions against networks that are run."""

from dataclasses import replace

import numpy as np
import pytest

from services.science.activations import ACTIVATIONS
from services.science.initializers import INITIALIZERS, BaseInitializer, LayerContext
from services.science.layer_scales import layer_scales, scale_notes
from services.science.models import Mlp
from services.science.streams import Purpose, stream
from services.science.theory.propagation import predict

SHAPELESS = ("delta_orthogonal",)
"""Members for kernels only."""


def draw(initializer: BaseInitializer, activation: str, model: Mlp, inputs: int, outputs: int, seed: int):
    member = ACTIVATIONS[activation].model_validate({})
    layers = model.weight_layers(inputs, outputs, member.width_factor)
    for layer in layers:
        before = tuple(earlier.shape for earlier in layers[: layer.index])
        context = LayerContext(layer.fan_in, layer.fan_out, layer.index, len(layers), layer.is_output, member)
        context = replace(context, before=before)
        weight = initializer.draw(layer.shape, stream(seed, Purpose.WEIGHTS, layer.index), context)
        bias = initializer.draw_bias((layer.shape[1],), stream(seed, Purpose.BIASES, layer.index), context)
        yield weight, bias


@pytest.mark.parametrize("kind", [kind for kind in INITIALIZERS if kind not in (*SHAPELESS, "lsuv")])
def test_the_variances_are_those_of_drawn_weights(kind: str) -> None:
    initializer, model = INITIALIZERS[kind].model_validate({}), Mlp(hidden=(200, 100))
    scales = layer_scales(ACTIVATIONS["tanh"].model_validate({}), initializer, model.weight_layers(100, 150))
    for scale, (weight, bias) in zip(scales, draw(initializer, "tanh", model, 100, 150, 3), strict=True):
        assert (scale.fan_in, scale.fan_out) == weight.shape
        assert scale.weight_variance == pytest.approx(weight.var(), rel=0.15, abs=1e-12)
        assert scale.bias_variance == pytest.approx(np.mean(bias**2), rel=0.4, abs=1e-12)


@pytest.mark.parametrize(
    ("activation", "kind"),
    [("relu", "he_uniform"), ("tanh", "glorot_normal"), ("selu", "lecun_normal"), ("swiglu", "lecun_normal"),
     ("gelu", "gain_matched"), ("tanh", "torch_default"), ("sigmoid", "orthogonal")],
)  # fmt: skip
def test_predicted_second_moments_are_those_of_networks_that_are_run(activation: str, kind: str) -> None:
    member, initializer, model = (
        ACTIVATIONS[activation].model_validate({}),
        INITIALIZERS[kind].model_validate({}),
        Mlp(hidden=(256,) * (2 if activation == "swiglu" else 5)),
    )
    layers = model.weight_layers(64, 256, member.width_factor)
    prediction = predict(member, layer_scales(member, initializer, layers))
    measured = []
    for seed in range(6):
        h = stream(seed, Purpose.RESAMPLING, 7).normal(size=(256, 64))
        q = []
        for weight, bias in draw(initializer, activation, model, 64, 256, seed):
            pre = h @ weight + bias
            q.append(np.mean(pre**2))
            h = member.value(pre)
        measured.append(np.log(q))
    predicted = np.log(np.array([layer.second_moment for layer in prediction.layers], dtype=float))
    spread = np.array([layer.log_spread for layer in prediction.layers])
    error = np.mean(measured, axis=0) - predicted
    # The mean of six draws lies within three of its standard deviations, and 0.06 for the finite input.
    assert np.all(np.abs(error) < 0.06 + 3 * spread / np.sqrt(6)), error


def test_what_is_scaled_on_the_data_is_predicted_at_one() -> None:
    member = ACTIVATIONS["gelu"].model_validate({})
    layers = Mlp(hidden=(40, 30)).weight_layers(10, 3)
    prediction = predict(member, layer_scales(member, INITIALIZERS["lsuv"].model_validate({}), layers, 4.0), 4.0)
    assert [layer.second_moment for layer in prediction.layers] == pytest.approx([1.0, 1.0, 1.0])


def test_broken_assumptions_are_said() -> None:
    layers = Mlp(hidden=(40, 30)).weight_layers(10, 3)
    relu = ACTIVATIONS["relu"].model_validate({})

    def notes(kind: str, **parameters: float) -> str:
        return " ".join(scale_notes(relu, INITIALIZERS[kind].model_validate(parameters), layers))

    assert notes("he_uniform") == ""
    assert "not random" in notes("ones")
    assert "mean 0.5" in notes("uniform", low=0.0, high=1.0)
    assert "on the data" in notes("lsuv")
    assert "at every seed" in notes("legacy_randn")
    assert "not drawn alike" in notes("identity")
