"""The activations as differentiable tensor functions, one for every member of the catalogue."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from services.science.activations import BaseActivation

Learned = Mapping[str, Tensor]
"""Trained parameters by name, each broadcastable over ``[trials, rows, units]``."""

SATURATED = 20.0
"""Where tanh(exp(x)) is 1 in float64 too; beyond, exp overflows and its gradient would be 0 times infinity."""


def _elish(x: Tensor) -> Tensor:
    return torch.where(x >= 0.0, x, torch.expm1(x.clamp(max=0.0))) * torch.sigmoid(x)


def _sinc(x: Tensor) -> Tensor:
    # The derivative (x cos x - sin x) / x^2 cancels near 0; the series up to x^6 is exact there.
    near = x.abs() < 0.1
    square = x.square()
    series = 1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0))
    apart = torch.where(near, 1.0, x)
    return torch.where(near, series, torch.sin(apart) / apart)


def _sparse_plus(x: Tensor) -> Tensor:
    return torch.where(x >= 1.0, x, (x + 1.0).clamp(0.0, 2.0).square() / 4.0)


def _squareplus(x: Tensor, f: Any) -> Tensor:
    # For x < 0 the sum x + root cancels; b / (2 (root - x)) is the same number and does not.
    root = (x.square() + f.b).sqrt()
    return torch.where(x > 0.0, (x + root) / 2.0, f.b / (2.0 * (root - x.clamp(max=0.0))))


def _gated(gate: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        a, b = x.chunk(2, dim=-1)
        return a * gate(b)

    return apply


PLAIN: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "arcsinh": torch.asinh,
        "arctan": torch.atan,
        "bent_identity": lambda x: ((x.square() + 1.0).sqrt() - 1.0) / 2.0 + x,
        "bilinear": _gated(lambda b: b),
        "cos": torch.cos,
        "elish": _elish,
        "erf": torch.erf,
        "exponential": torch.exp,
        "gaussian": lambda x: torch.exp(-x.square()),
        "geglu": _gated(functional.gelu),
        "glu": _gated(torch.sigmoid),
        "hard_sigmoid": functional.hardsigmoid,
        "hard_silu": functional.hardswish,
        "identity": lambda x: x,
        "lecun_tanh": lambda x: 1.7159 * torch.tanh(2.0 / 3.0 * x),
        "lisht": lambda x: x * torch.tanh(x),
        "log_sigmoid": functional.logsigmoid,
        "mish": functional.mish,
        "phish": lambda x: x * torch.tanh(functional.gelu(x)),
        "reglu": _gated(torch.relu),
        "relu": torch.relu,
        "relu6": functional.relu6,
        "selu": torch.selu,
        "serf": lambda x: x * torch.erf(functional.softplus(x)),
        "sigmoid": torch.sigmoid,
        "sin": torch.sin,
        "sinc": _sinc,
        "softsign": functional.softsign,
        "sparse_plus": _sparse_plus,
        "sparse_sigmoid": lambda x: (functional.hardtanh(x) + 1.0) / 2.0,
        "squared_relu": lambda x: torch.relu(x).square(),
        "swiglu": _gated(functional.silu),
        "tanh": torch.tanh,
        "tanh_exp": lambda x: x * torch.tanh(torch.exp(x.clamp(max=SATURATED))),
        "tanh_shrink": functional.tanhshrink,
    }
)
"""Members without parameters."""

SHAPED: Mapping[str, Callable[[Tensor, Any], Tensor]] = MappingProxyType(
    {
        "celu": lambda x, f: functional.celu(x, f.alpha),
        "e_swish": lambda x, f: f.beta * functional.silu(x),
        "elu": lambda x, f: functional.elu(x, f.alpha),
        "gelu": lambda x, f: functional.gelu(x, approximate=f.approximate),
        "hard_shrink": lambda x, f: functional.hardshrink(x, f.lambd),
        "hard_tanh": lambda x, f: functional.hardtanh(x, f.min_value, f.max_value),
        "isrlu": lambda x, f: x / (1.0 + f.alpha * x.clamp(max=0.0).square()).sqrt(),
        "isru": lambda x, f: x / (1.0 + f.alpha * x.square()).sqrt(),
        "leaky_relu": lambda x, f: functional.leaky_relu(x, f.negative_slope),
        "rrelu": lambda x, f: functional.leaky_relu(x, f.slope),
        "silu": lambda x, f: functional.silu(x) if f.beta == 1.0 else x * torch.sigmoid(f.beta * x),
        "siren": lambda x, f: torch.sin(f.omega_0 * x),
        "snake": lambda x, f: x + torch.sin(f.a * x).square() / f.a,
        "soft_shrink": lambda x, f: functional.softshrink(x, f.lambd),
        "softplus": lambda x, f: functional.softplus(x, f.beta, f.threshold),
        "squareplus": _squareplus,
        "star_relu": lambda x, f: f.scale * torch.relu(x).square() + f.shift,
        "threshold": lambda x, f: functional.threshold(x, f.threshold, f.otherwise),
    }
)
"""Members whose fixed parameters are fields of the member."""

LEARNED: Mapping[str, Callable[[Tensor, Learned], Tensor]] = MappingProxyType(
    {
        "prelu": lambda x, p: torch.where(x > 0.0, x, p["initial_slope"] * x),
    }
)
"""Members with trained parameters, by the names of the member's `learned`."""


def activate(activation: BaseActivation, x: Tensor, learned: Learned | None = None) -> Tensor:
    """Apply an activation to pre-activations of any shape; gated members halve the last axis.

    Without `learned`, a trained parameter has its starting value.
    """
    kind = activation.kind
    if kind in PLAIN:
        return PLAIN[kind](x)
    if kind in SHAPED:
        return SHAPED[kind](x, activation)
    if learned is None:
        learned = {name: x.new_tensor(getattr(activation, name)) for name in activation.learned}
    return LEARNED[kind](x, learned)
