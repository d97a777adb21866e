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

PLAIN: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "identity": lambda x: x,
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
    }
)
"""Members without parameters."""

SHAPED: Mapping[str, Callable[[Tensor, Any], Tensor]] = MappingProxyType(
    {
        "leaky_relu": lambda x, f: functional.leaky_relu(x, f.negative_slope),
    }
)
"""Members whose fixed parameters are fields of the member."""

LEARNED: Mapping[str, Callable[[Tensor, Learned], Tensor]] = MappingProxyType({})
"""Members with trained parameters, by the names of the member's `learned`."""


def activate(activation: BaseActivation, x: Tensor, learned: Learned | None = None) -> Tensor:
    """Apply an activation to pre-activations of any shape; gated members halve the last axis."""
    kind = activation.kind
    if kind in PLAIN:
        return PLAIN[kind](x)
    if kind in SHAPED:
        return SHAPED[kind](x, activation)
    return LEARNED[kind](x, learned or {})
