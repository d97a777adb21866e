"""The catalogue of activations: one discriminated union, and everything else derived from it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.activations.base import BaseActivation, FloatArray, Recommendation
from services.science.activations.linear import Identity
from services.science.activations.names import ALIASES
from services.science.activations.rectifiers import LeakyRelu, Relu
from services.science.activations.sigmoidal import Sigmoid, Tanh
from services.science.catalogue import by_kind, canonical

AnyActivation = Identity | LeakyRelu | Relu | Sigmoid | Tanh

Activation = Annotated[AnyActivation, Field(discriminator="kind"), BeforeValidator(canonical(ALIASES))]
"""A member of the catalogue; a bare name means its defaults, an alias is stored under its canonical kind."""

ACTIVATIONS = by_kind(AnyActivation, BaseActivation)
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
