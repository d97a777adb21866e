"""The catalogue of activations: one discriminated union, and everything else derived from it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, get_args

from pydantic import BeforeValidator, Field

from services.science.activations.base import BaseActivation, FloatArray, Recommendation
from services.science.activations.linear import Identity
from services.science.activations.names import ALIASES, canonical
from services.science.activations.rectifiers import LeakyRelu, Relu
from services.science.activations.sigmoidal import Sigmoid, Tanh

AnyActivation = Identity | LeakyRelu | Relu | Sigmoid | Tanh

Activation = Annotated[AnyActivation, Field(discriminator="kind"), BeforeValidator(canonical)]
"""A member of the catalogue; a bare name means its defaults, an alias is stored under its canonical kind."""

ACTIVATIONS: Mapping[str, type[BaseActivation]] = MappingProxyType(
    {member.model_fields["kind"].default: member for member in get_args(AnyActivation)}
)
"""Every member by its kind, in the order of the union."""

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "Activation",
    "AnyActivation",
    "BaseActivation",
    "FloatArray",
    "Recommendation",
]
