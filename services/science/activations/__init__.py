"""The catalogue of activations: one discriminated union, and everything else derived from it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.activations.base import BaseActivation, FloatArray, Recommendation
from services.science.activations.exponential_linear import Celu, Elish, Elu, InverseSquareRootLinear, Selu
from services.science.activations.gated_linear import Bilinear, GeGlu, Glu, ReGlu, SwiGlu
from services.science.activations.hard import HardSigmoid, HardTanh, SparseSigmoid
from services.science.activations.linear import Arcsinh, BentIdentity, Identity
from services.science.activations.names import ALIASES, DIFFERENCES, LEFT_OUT
from services.science.activations.periodic import Cosine, Gaussian, Sin, Sinc, Siren, Snake
from services.science.activations.rectifiers import (
    LeakyRelu,
    PRelu,
    Relu,
    Relu6,
    RRelu,
    SquaredRelu,
    StarRelu,
    Threshold,
)
from services.science.activations.self_gated import ESwish, Gelu, HardSilu, Lisht, Mish, Phish, Serf, Silu, TanhExp
from services.science.activations.shrinkage import HardShrink, SoftShrink, TanhShrink
from services.science.activations.sigmoidal import (
    Arctan,
    Erf,
    InverseSquareRoot,
    LecunTanh,
    Sigmoid,
    Softsign,
    Tanh,
)
from services.science.activations.softplus_family import Exponential, LogSigmoid, Softplus, SparsePlus, Squareplus
from services.science.catalogue import by_kind, canonical

AnyActivation = (
    Arcsinh
    | Arctan
    | BentIdentity
    | Bilinear
    | Celu
    | Cosine
    | ESwish
    | Elish
    | Elu
    | Erf
    | Exponential
    | Gaussian
    | GeGlu
    | Gelu
    | Glu
    | HardShrink
    | HardSigmoid
    | HardSilu
    | HardTanh
    | Identity
    | InverseSquareRoot
    | InverseSquareRootLinear
    | LeakyRelu
    | LecunTanh
    | Lisht
    | LogSigmoid
    | Mish
    | PRelu
    | Phish
    | RRelu
    | ReGlu
    | Relu
    | Relu6
    | Selu
    | Serf
    | Sigmoid
    | Silu
    | Sin
    | Sinc
    | Siren
    | Snake
    | SoftShrink
    | Softplus
    | Softsign
    | SparsePlus
    | SparseSigmoid
    | SquaredRelu
    | Squareplus
    | StarRelu
    | SwiGlu
    | Tanh
    | TanhExp
    | TanhShrink
    | Threshold
)

Activation = Annotated[AnyActivation, Field(discriminator="kind"), BeforeValidator(canonical(ALIASES))]
"""A member of the catalogue; a bare name means its defaults, an alias is stored under its canonical kind."""

ACTIVATIONS = by_kind(AnyActivation, BaseActivation)
"""Every member by its kind, in the order of the union."""

__all__ = [
    "ACTIVATIONS",
    "ALIASES",
    "DIFFERENCES",
    "LEFT_OUT",
    "Activation",
    "AnyActivation",
    "BaseActivation",
    "FloatArray",
    "Recommendation",
]
