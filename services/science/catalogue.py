"""What the families share: the union is the catalogue, and other people's names lead to its members."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from services.science.base import Member, named

M = TypeVar("M", bound=Member)


def by_kind(union: Any, base: type[M]) -> Mapping[str, type[M]]:
    """Every member of a union of `base`'s subclasses by its kind, in the order of the union.

    Raises:
        TypeError: a member of the union that is not a `base`.
    """
    members: dict[str, type[M]] = {}
    for member in get_args(union):
        if not issubclass(member, base):
            raise TypeError(f"{member.__name__} is in a union of {base.__name__} but is none")
        members[member.model_fields["kind"].default] = member
    return MappingProxyType(members)


def canonical(aliases: Mapping[str, str]) -> Callable[[Any], Any]:
    """Make a before-validator that turns a bare name into an object, and an alias into its canonical kind."""

    def validate(value: Any) -> Any:
        member = named(value)
        if isinstance(member, Mapping) and isinstance(member.get("kind"), str):
            kind = named(member["kind"])["kind"]
            return {**member, "kind": aliases.get(kind, kind)}
        return member

    return validate
