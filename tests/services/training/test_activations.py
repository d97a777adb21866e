"""The tensor functions against the catalogue's own values and derivatives in float64."""

from typing import Any

import numpy as np
import pytest
import torch

from services.science.activations import ACTIVATIONS
from services.science.streams import Purpose, stream
from services.training.activations import LEARNED, PLAIN, SHAPED, activate
from tests.support.training import Kept, described, engine_of, regression_rows, train

OTHER_PARAMETERS: dict[str, dict[str, Any]] = {
    "celu": {"alpha": 0.5},
    "e_swish": {"beta": 1.2},
    "elu": {"alpha": 0.5},
    "gelu": {"approximate": "tanh"},
    "hard_shrink": {"lambd": 0.3},
    "hard_tanh": {"min_value": -2.0, "max_value": 0.5},
    "isrlu": {"alpha": 3.0},
    "isru": {"alpha": 3.0},
    "leaky_relu": {"negative_slope": 0.3},
    "prelu": {"initial_slope": 0.1},
    "rrelu": {"lower": 0.1, "upper": 0.2},
    "silu": {"beta": 1.7},
    "siren": {"omega_0": 3.0},
    "snake": {"a": 2.5},
    "soft_shrink": {"lambd": 0.3},
    "softplus": {"beta": 2.0, "threshold": 30.0},
    "squareplus": {"b": 1.0},
    "star_relu": {"scale": 1.5, "shift": 0.2},
    "threshold": {"threshold": 0.1, "otherwise": -1.0},
}
CASES = [(kind, {}) for kind in ACTIVATIONS] + list(OTHER_PARAMETERS.items())


def test_every_member_has_one_function_and_every_function_a_member() -> None:
    assert {*PLAIN, *SHAPED, *LEARNED} == set(ACTIVATIONS)
    assert len(PLAIN) + len(SHAPED) + len(LEARNED) == len(ACTIVATIONS)
    assert {kind for kind, member in ACTIVATIONS.items() if member.learned} == set(LEARNED)
    assert {*SHAPED, *LEARNED} == set(OTHER_PARAMETERS)


@pytest.mark.parametrize(("kind", "parameters"), CASES)
def test_value_and_derivative_are_the_catalogues(kind: str, parameters: dict[str, Any]) -> None:
    activation = ACTIVATIONS[kind].model_validate(parameters)
    points = stream(1, Purpose.SYNTHETIC).normal(size=400) * 4.0
    kinks = np.array(activation.kinks)
    x = np.concatenate([points, [-30.0, 30.0, 0.0, 1e-9, -1e-9], kinks - 1e-6, kinks + 1e-6])
    if kinks.size:
        x = x[np.abs(x[:, None] - kinks).min(axis=1) > 1e-7]
    x = x[: x.size // 2 * 2]
    inputs = torch.tensor(x, requires_grad=True)
    outputs = activate(activation, inputs)
    np.testing.assert_allclose(outputs.detach().numpy(), activation.value(x), rtol=1e-8, atol=1e-12)
    if activation.width_factor == 1:
        (slope,) = torch.autograd.grad(outputs.sum(), inputs)
        np.testing.assert_allclose(slope.numpy(), activation.derivative(x), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", [kind for kind, member in ACTIVATIONS.items() if member.width_factor == 1])
def test_the_slope_at_a_kink_is_the_catalogues(kind: str) -> None:
    activation = ACTIVATIONS[kind].model_validate({})
    x = np.array([0.0, *activation.kinks])
    inputs = torch.tensor(x, requires_grad=True)
    (slope,) = torch.autograd.grad(activate(activation, inputs).sum(), inputs)
    np.testing.assert_allclose(slope.numpy(), activation.derivative(x), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in ACTIVATIONS if kind != "exponential"])
def test_far_values_keep_finite_gradients_in_float32(kind: str) -> None:
    activation = ACTIVATIONS[kind].model_validate({})
    inputs = torch.tensor([-1e4, -100.0, 0.0, 0.0, 100.0, 1e4], requires_grad=True)
    outputs = activate(activation, inputs)
    (slope,) = torch.autograd.grad(outputs.sum(), inputs)
    assert torch.isfinite(outputs).all()
    assert torch.isfinite(slope).all()


def test_a_cohort_of_every_plain_activation_trains() -> None:
    rows = regression_rows()
    kinds = [kind for kind, member in ACTIVATIONS.items() if member.width_factor == 1]
    model = {"kind": "mlp", "hidden": [8]}
    document = {"activation": kinds, "initializer": "glorot_uniform", "model": model, "epochs": 2, "seeds": 1}
    observer = train(described(document, rows), rows)
    assert np.isfinite(observer.metric("val_loss")).all()


def test_a_cohort_of_every_gated_activation_trains_with_half_the_width_behind_the_gate() -> None:
    rows = regression_rows()
    kinds = [kind for kind, member in ACTIVATIONS.items() if member.width_factor == 2]
    model = {"kind": "mlp", "hidden": [8, 6]}
    document = {"activation": kinds, "initializer": "glorot_uniform", "model": model, "epochs": 2, "seeds": 1}
    description = described(document, rows)
    shapes = [layer.weight.shape[1:] for layer in engine_of(description, rows).parameters()]
    assert shapes == [(5, 16), (8, 12), (6, 1)]
    assert np.isfinite(train(description, rows).metric("val_loss")).all()


def test_prelu_learns_a_slope_per_layer_and_its_neighbours_none() -> None:
    rows = regression_rows()
    model = {"kind": "mlp", "hidden": [8, 6]}
    activations = ["relu", "prelu", {"kind": "prelu", "initial_slope": 0.5}]
    document = {"activation": activations, "initializer": "he_normal", "model": model, "epochs": 3, "seeds": 2}
    description = described(document, rows)
    observer = train(description, rows, Kept(keep_states=True))
    for layer in (0, 1):
        start, *_, end = (state[f"parameters.dense_{layer}.activation"][:, 0] for state in observer.states)
        np.testing.assert_allclose(start, [0.0, 0.0, 0.25, 0.25, 0.5, 0.5])
        assert (end[:2] == 0.0).all()
        assert (end[2:] != start[2:]).all()
