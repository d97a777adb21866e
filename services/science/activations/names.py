"""Other people's names for our activations, and names that are left out on purpose."""

from collections.abc import Mapping
from types import MappingProxyType

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "linear": "identity",
        "none": "identity",
        "logistic": "sigmoid",
        "leakyrelu": "leaky_relu",
        "lrelu": "leaky_relu",
    }
)
"""Accepted spellings and the canonical kind each is stored as."""
