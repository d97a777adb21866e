"""Other people's names for our initializers."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from services.science.base import named

ALIASES: Mapping[str, str] = MappingProxyType({"zeros_": "zeros"})
"""Accepted spellings and the canonical kind each is stored as."""


def canonical(value: Any) -> Any:
    """Turn a bare name into an object, and an alias into its canonical kind."""
    member = named(value)
    if isinstance(member, dict) and isinstance(member.get("kind"), str):
        kind = named(member["kind"])["kind"]
        return {**member, "kind": ALIASES.get(kind, kind)}
    return member
