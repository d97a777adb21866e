"""PyTorch and Keras: every hidden activation of theirs is here, or left out with a reason, and means the same."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn.modules import activation as torch_activation

from services.science.activations import ACTIVATIONS, ALIASES, LEFT_OUT, Activation, BaseActivation
from services.science.peer_names import KERAS_ACTIVATIONS, TORCH_ACTIVATIONS

ADAPTER: TypeAdapter[BaseActivation] = TypeAdapter(Activation)

SAME: list[tuple[object, Callable[[Tensor], Tensor]]] = [
    ("celu", nn.CELU()),
    ({"kind": "celu", "alpha": 0.4}, nn.CELU(0.4)),
    ("elu", nn.ELU()),
    ({"kind": "elu", "alpha": 2.0}, nn.ELU(2.0)),
    ("erf", torch.erf),
    ("gelu", nn.GELU()),
    ({"kind": "gelu", "approximate": "tanh"}, nn.GELU(approximate="tanh")),
    ("glu", nn.GLU()),
    ("hard_shrink", nn.Hardshrink()),
    ("hard_sigmoid", nn.Hardsigmoid()),
    ("hard_silu", nn.Hardswish()),
    ("hard_tanh", nn.Hardtanh()),
    ("identity", nn.Identity()),
    ("leaky_relu", nn.LeakyReLU()),
    ({"kind": "leaky_relu", "negative_slope": 0.3}, nn.LeakyReLU(0.3)),
    ("log_sigmoid", nn.LogSigmoid()),
    ("mish", nn.Mish()),
    ("prelu", nn.PReLU(dtype=torch.float64)),
    ("relu", nn.ReLU()),
    ("relu6", nn.ReLU6()),
    ("rrelu", nn.RReLU().eval()),
    ("selu", nn.SELU()),
    ("sigmoid", nn.Sigmoid()),
    ("silu", nn.SiLU()),
    ("soft_shrink", nn.Softshrink()),
    ("softplus", nn.Softplus()),
    ({"kind": "softplus", "beta": 3.0, "threshold": 5.0}, nn.Softplus(3.0, 5.0)),
    ("softsign", nn.Softsign()),
    ("tanh", nn.Tanh()),
    ("tanh_shrink", nn.Tanhshrink()),
    ({"kind": "threshold", "threshold": 0.5, "otherwise": -1.0}, nn.Threshold(0.5, -1.0)),
]


@pytest.mark.parametrize(("spec", "theirs"), SAME, ids=lambda item: str(item)[:40])
def test_value_and_derivative_are_those_of_autograd(spec: object, theirs: Callable[[Tensor], Tensor]) -> None:
    ours = ADAPTER.validate_python(spec)
    # Kinks included: the subgradient there has to be PyTorch's.
    x = np.concatenate([np.linspace(-9.0, 9.0, 721), [-1e4, 1e4], list(ours.kinks), [0.0, -1.0, 1.0, -3.0, 3.0, 6.0]])
    x = x[: len(x) - len(x) % ours.width_factor]
    tensor = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = theirs(tensor)
    (gradient,) = torch.autograd.grad(y.sum(), tensor)
    # PyTorch keeps some constants (1/6, 1/alpha) in float32 even here.
    np.testing.assert_allclose(ours.value(x), y.detach().numpy(), rtol=3e-7, atol=1e-12)
    np.testing.assert_allclose(ours.derivative(x), gradient.numpy(), rtol=3e-7, atol=1e-12)


def covered(name: str) -> bool:
    flat = re.sub(r"[^a-z0-9]", "", name.lower())
    return name.lower() in LEFT_OUT or flat in {*ACTIVATIONS, *ALIASES}


def test_the_list_of_torch_is_the_installed_one() -> None:
    assert sorted(torch_activation.__all__) == sorted(TORCH_ACTIVATIONS)


@pytest.mark.parametrize("name", TORCH_ACTIVATIONS)
def test_every_torch_activation_has_a_place(name: str) -> None:
    assert covered(name)
    if name.lower() not in LEFT_OUT:
        assert ADAPTER.validate_python(name).kind in ACTIVATIONS


@pytest.mark.parametrize("name", KERAS_ACTIVATIONS)
def test_every_keras_activation_has_a_place(name: str) -> None:
    if name not in LEFT_OUT:
        assert ADAPTER.validate_python(name).kind in ACTIVATIONS
