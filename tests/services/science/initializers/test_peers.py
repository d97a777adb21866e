"""PyTorch and Keras: every initializer of theirs is here, or left out with a reason, and means the same."""

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from services.science.initializers import INITIALIZERS, LEFT_OUT, BaseInitializer, Initializer, LayerContext
from services.science.peer_names import KERAS_INITIALIZERS, TORCH_INITIALIZERS
from services.science.streams import Purpose, stream

ADAPTER: TypeAdapter[BaseInitializer] = TypeAdapter(Initializer)


def test_the_list_of_torch_is_the_installed_one() -> None:
    installed = sorted(name for name in vars(nn.init) if re.fullmatch(r"[a-z][a-z_]*_", name))
    assert installed == sorted(TORCH_INITIALIZERS)


@pytest.mark.parametrize("name", [*TORCH_INITIALIZERS, *KERAS_INITIALIZERS])
def test_every_name_has_a_place(name: str) -> None:
    if name.lower() not in LEFT_OUT:
        assert ADAPTER.validate_python(name).kind in INITIALIZERS


@pytest.mark.parametrize(
    ("spec", "fill"),
    [
        ("xavier_uniform", nn.init.xavier_uniform_),
        ({"kind": "xavier_uniform", "gain": 2.0}, partial(nn.init.xavier_uniform_, gain=2.0)),
        ("xavier_normal", nn.init.xavier_normal_),
        ("kaiming_uniform", nn.init.kaiming_uniform_),
        (
            {"kind": "kaiming_normal", "negative_slope": 0.5, "mode": "fan_out"},
            partial(nn.init.kaiming_normal_, a=0.5, mode="fan_out"),
        ),
        (
            {"kind": "kaiming_normal", "nonlinearity": "tanh"},
            partial(nn.init.kaiming_normal_, nonlinearity="tanh"),
        ),
        ("trunc_normal", nn.init.trunc_normal_),
        ("uniform", nn.init.uniform_),
        ("normal", nn.init.normal_),
        ("torch_default", partial(nn.init.kaiming_uniform_, a=5**0.5)),
    ],
)
@pytest.mark.parametrize("shape", [(300, 500), (40, 60, 3, 3)])
def test_moments_are_those_of_torchs_own_draws(
    spec: object, fill: Callable[..., object], shape: tuple[int, ...]
) -> None:
    ours = ADAPTER.validate_python(spec)
    theory = ours.theory(shape, LayerContext.of(shape))
    # PyTorch's dense weight is (out, in), ours (in, out); kernels agree.
    theirs = torch.empty(shape[::-1] if len(shape) == 2 else shape, dtype=torch.float64)
    fill(theirs, generator=torch.Generator().manual_seed(0))
    mine = ours.draw(shape, stream(0, Purpose.WEIGHTS), LayerContext.of(shape))
    for sample in (theirs.numpy(), mine):
        assert theory.mean is not None
        assert theory.std is not None
        # Six standard errors of the mean and, with kurtosis at most that of a normal, of the deviation.
        assert abs(sample.mean() - theory.mean) < 6 * theory.std / np.sqrt(sample.size)
        assert sample.std() == pytest.approx(theory.std, rel=6 / np.sqrt(2 * sample.size))
        assert theory.high is None or theory.high * 0.995 < sample.max() <= theory.high


def test_torch_default_is_what_a_linear_layer_starts_from() -> None:
    with torch.random.fork_rng(devices=[]):
        layer = nn.Linear(200, 3000)
    member = ADAPTER.validate_python("torch_default")
    context = LayerContext.of((200, 3000))
    high = member.theory((200, 3000), context).high
    assert high is not None
    assert float(layer.weight.detach().abs().max()) == pytest.approx(high, rel=1e-3)
    assert float(layer.bias.detach().abs().max()) == pytest.approx(high, rel=1e-2)
    bias = member.draw_bias((3000,), stream(0, Purpose.BIASES), context)
    assert np.abs(bias).max() == pytest.approx(high, rel=1e-2)
