"""The data set family: the union used in a spec, and the catalogue derived from it."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from services.science.datasets.base import BuiltIn
from services.science.datasets.tabular import Diamonds, Digits

AnyDataset = Diamonds | Digits


def _named(value: Any) -> Any:
    """Turn a bare name into an object, and any spelling of a name (``Fashion-MNIST``) into ours."""
    if isinstance(value, str):
        return {"name": _spelled(value)}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return {**value, "name": _spelled(value["name"])}
    return value


def _spelled(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


DatasetChoice = Annotated[AnyDataset, Field(discriminator="name"), BeforeValidator(_named)]
"""A data set's object, or its bare name."""

DATASETS: Mapping[str, type[BuiltIn]] = MappingProxyType(
    {member.model_fields["name"].default: member for member in get_args(AnyDataset)}
)
"""Every data set known by name, in the order of the union."""
