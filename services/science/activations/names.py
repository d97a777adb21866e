"""Other people's names for our activations, names that are left out on purpose, and names that mean two things."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "asinh": "arcsinh",
        "atan": "arctan",
        "cosine": "cos",
        "exp": "exponential",
        "hard_swish": "hard_silu",
        "hardshrink": "hard_shrink",
        "hardsigmoid": "hard_sigmoid",
        "hardswish": "hard_silu",
        "hardtanh": "hard_tanh",
        "leakyrelu": "leaky_relu",
        "linear": "identity",
        "logistic": "sigmoid",
        "logsigmoid": "log_sigmoid",
        "lrelu": "leaky_relu",
        "parametric_relu": "prelu",
        "relu2": "squared_relu",
        "relu_squared": "squared_relu",
        "scaled_tanh": "lecun_tanh",
        "sine": "sin",
        "softshrink": "soft_shrink",
        "swish": "silu",
        "tanhshrink": "tanh_shrink",
    }
)
"""Accepted spellings, with PyTorch's class names in lower case, and the canonical kind each is stored as."""

_SUMS = "normalises over the units of a layer instead of acting on each: an output activation"

LEFT_OUT: Mapping[str, str] = MappingProxyType(
    {
        "softmax": _SUMS,
        "softmax2d": _SUMS,
        "log_softmax": _SUMS,
        "logsoftmax": _SUMS,
        "softmin": _SUMS,
        "sparsemax": _SUMS,
        "multiheadattention": "a whole layer with weights of its own, not an activation of a unit",
        "maxout": "takes the maximum over several linear maps: a layer with more weights, not a function of one number",
    }
)
"""Names of torch.nn, keras.activations and the literature that are not members, and why."""


class Difference(NamedTuple):
    """One name, the meaning it has here, and the meanings it has elsewhere."""

    name: str
    here: str
    keras: str
    torch: str


DIFFERENCES: tuple[Difference, ...] = (
    Difference("leaky_relu", "negative_slope 0.01", "0.2 as a function, 0.3 as a layer", "0.01"),
    Difference(
        "prelu", "starts at 0.25, one slope per layer", "starts at 0, one slope per unit", "starts at 0.25, one slope"
    ),
    Difference("rrelu", "mean slope always, no noise", "absent", "random slope in training, mean slope in evaluation"),
    Difference(
        "hard_sigmoid",
        "relu6(x + 3) / 6",
        "relu6(x + 3) / 6 from version 3; clip(0.2 x + 0.5, 0, 1) before",
        "relu6(x + 3) / 6",
    ),
    Difference(
        "gelu", "exact unless approximate is tanh", "exact unless approximate", "exact unless approximate is tanh"
    ),
    Difference("threshold", "1, and 0 below", "no defaults", "no defaults"),
    Difference("softplus", "linear where beta x > 20", "no threshold, no beta", "linear where beta x > 20"),
    Difference("glu", "the last axis is cut: value half, then gate half", "the same, any axis", "the same, any axis"),
)
"""Same name, different thing: what Keras 3.15 and PyTorch 2.13 mean by a name, beside what it means here."""
