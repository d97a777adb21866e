"""Other people's names for our initializers."""

from collections.abc import Mapping
from types import MappingProxyType

ALIASES: Mapping[str, str] = MappingProxyType({"zeros_": "zeros"})
"""Accepted spellings and the canonical kind each is stored as."""
