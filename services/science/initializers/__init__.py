"""The catalogue of initializers: one discriminated union, and everything else derived from it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.catalogue import by_kind, canonical
from services.science.initializers.base import BaseInitializer, LayerContext, Moments, fans
from services.science.initializers.constants import Zeros
from services.science.initializers.fan_scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
)
from services.science.initializers.fixed_scale import RandomNormal, RandomUniform
from services.science.initializers.names import ALIASES

AnyInitializer = (
    GlorotNormal
    | GlorotUniform
    | HeNormal
    | HeUniform
    | LecunNormal
    | LecunUniform
    | RandomNormal
    | RandomUniform
    | Zeros
)

Initializer = Annotated[AnyInitializer, Field(discriminator="kind"), BeforeValidator(canonical(ALIASES))]
"""A member of the catalogue; a bare name means its defaults, an alias is stored under its canonical kind."""

INITIALIZERS = by_kind(AnyInitializer, BaseInitializer)
"""Every member by its kind, in the order of the union."""

__all__ = [
    "ALIASES",
    "INITIALIZERS",
    "AnyInitializer",
    "BaseInitializer",
    "Initializer",
    "LayerContext",
    "Moments",
    "fans",
]
