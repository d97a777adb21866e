"""Initializers that follow the activation keep what they promise to keep through a wide, deep network."""

import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from services.science.activations import Activation, BaseActivation
from services.science.initializers import BaseInitializer, Initializer, LayerContext
from services.science.streams import Purpose, stream

INITIALIZER: TypeAdapter[BaseInitializer] = TypeAdapter(Initializer)
ACTIVATION: TypeAdapter[BaseActivation] = TypeAdapter(Activation)
WIDTH, DEPTH = 512, 12


def second_moments(initializer: object, activation: object) -> np.ndarray:
    """Mean square of the pre-activations of every layer of one network, on standard normal rows."""
    member, f = INITIALIZER.validate_python(initializer), ACTIVATION.validate_python(activation)
    h = np.random.Generator(np.random.Philox(1)).normal(size=(200, WIDTH))
    squares = []
    for layer in range(DEPTH):
        context = LayerContext(WIDTH, WIDTH, layer=layer, depth=DEPTH, activation=f)
        weight = member.draw((WIDTH, WIDTH), stream(4, Purpose.WEIGHTS, layer), context)
        bias = member.draw_bias((WIDTH,), stream(4, Purpose.BIASES, layer), context)
        z = h @ weight + bias
        squares.append(np.square(z).mean())
        h = f.value(z)
    return np.array(squares)


@pytest.mark.parametrize("activation", ["tanh", "softsign", "sigmoid", "elu", "selu", "sin", "hard_tanh", "arctan"])
def test_gain_matched_keeps_the_second_moment_at_one(activation: str) -> None:
    squares = second_moments("gain_matched", activation)
    # The scale of a wide network fluctuates by about sqrt(5 DEPTH / WIDTH) = 0.34 in the logarithm at most (relu's).
    assert np.abs(np.log(squares)).max() < 0.34


def test_gain_matched_is_he_for_relu_after_the_first_layer() -> None:
    f = ACTIVATION.validate_python("relu")
    member = INITIALIZER.validate_python("gain_matched")
    first, later = (member.theory((50, 50), LayerContext.of((50, 50), layer=n, activation=f)) for n in (0, 1))
    assert first.std == pytest.approx(math.sqrt(1 / 50))
    assert later.std == pytest.approx(math.sqrt(2 / 50))


@pytest.mark.parametrize(
    ("activation", "bias_variance", "weight_variance"),
    [
        ("relu", 0.0, 2.0),
        ({"kind": "leaky_relu", "negative_slope": 0.5}, 0.0, 1.6),
        ("tanh", 0.0, 1.0),
        ("erf", 0.0, math.pi / 4),
        ("tanh", 0.05, 1.760955),
        ("elu", 0.25, 1.705928),
        ("silu", 1.0, 1.967041),
    ],
)
def test_critical_takes_the_published_points(activation: object, bias_variance: float, weight_variance: float) -> None:
    member = INITIALIZER.validate_python({"kind": "critical", "bias_variance": bias_variance})
    context = LayerContext.of((100, 100), activation=ACTIVATION.validate_python(activation))
    std = member.theory((100, 100), context).std
    assert std is not None
    assert std**2 * 100 == pytest.approx(weight_variance, abs=1e-5)
    assert member.bias_variance_of(context) == bias_variance


def test_critical_says_when_there_is_no_such_point() -> None:
    member = INITIALIZER.validate_python({"kind": "critical", "bias_variance": 0.05})
    # relu's fixed points are all of q or none: any bias moves them away.
    with pytest.raises(ValueError, match="no critical point"):
        member.theory((9, 9), LayerContext.of((9, 9), activation=ACTIVATION.validate_python("relu")))


def test_critical_leaves_the_bias_variance_to_the_activation_unless_it_is_given() -> None:
    member = INITIALIZER.validate_python("critical")
    biases = {
        kind: member.bias_variance_of(LayerContext.of((9, 9), activation=ACTIVATION.validate_python(kind)))
        for kind in ("relu", "tanh", "gelu", "mish", "silu")
    }
    assert biases == {"relu": 0.0, "tanh": 0.0, "gelu": 0.2, "mish": 0.11, "silu": 0.64}
    assert member.label() == "critical"


def test_critical_tanh_settles_at_its_fixed_point() -> None:
    squares = second_moments({"kind": "critical", "bias_variance": 0.05}, "tanh")
    assert squares[-1] == pytest.approx(0.570048, rel=0.15)


def test_siren_keeps_its_sines_busy() -> None:
    member, f = INITIALIZER.validate_python("siren"), ACTIVATION.validate_python("siren")
    x = np.random.Generator(np.random.Philox(1)).uniform(-1.0, 1.0, (2000, 2))
    weight = member.draw((2, WIDTH), stream(0, Purpose.WEIGHTS, 0), LayerContext(2, WIDTH, layer=0))
    h = f.value(x @ weight)
    for layer in (1, 2, 3):
        context = LayerContext(WIDTH, WIDTH, layer=layer)
        z = 30.0 * (h @ member.draw((WIDTH, WIDTH), stream(0, Purpose.WEIGHTS, layer), context))
        # The first sine of two inputs is not quite spread over whole periods.
        assert np.square(z).mean() == pytest.approx(1.0, rel=0.2)
        h = np.sin(z)


def test_mup_differs_from_the_standard_in_the_output_layer_only() -> None:
    member = INITIALIZER.validate_python("mup")

    def std(**fields: Any) -> float | None:
        return member.theory((256, 10), LayerContext.of((256, 10), **fields)).std

    assert std() == pytest.approx(1 / 16)
    assert std(is_output=True) == pytest.approx(math.sqrt(64) / 256)
