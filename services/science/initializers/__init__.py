"""The catalogue of initializers: one discriminated union, and everything else derived from it."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from services.science.catalogue import by_kind, canonical
from services.science.initializers.base import BaseInitializer, LayerContext, Moments, fans
from services.science.initializers.constants import Constant, Ones, Zeros
from services.science.initializers.deterministic import Dirac, IdentityMatrix, Zero
from services.science.initializers.fan_scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)
from services.science.initializers.fixed_scale import (
    DepthScaled,
    Normal,
    RandomNormal,
    RandomUniform,
    ScaledNormal,
    TruncatedNormal,
    TruncNormal,
    Uniform,
)
from services.science.initializers.legacy import LegacyRandn
from services.science.initializers.names import ALIASES, DIFFERENCES, LEFT_OUT
from services.science.initializers.propagation import Critical, GainMatched, Lsuv, Mup, SirenUniform, XavierFanIn
from services.science.initializers.structured import DeltaOrthogonal, Orthogonal, Sparse
from services.science.initializers.torch_names import (
    KaimingNormal,
    KaimingUniform,
    TorchDefault,
    XavierNormal,
    XavierUniform,
)

AnyInitializer = (
    Constant
    | Critical
    | DeltaOrthogonal
    | DepthScaled
    | Dirac
    | GainMatched
    | GlorotNormal
    | GlorotUniform
    | HeNormal
    | HeUniform
    | IdentityMatrix
    | KaimingNormal
    | KaimingUniform
    | LecunNormal
    | LecunUniform
    | LegacyRandn
    | Lsuv
    | Mup
    | Normal
    | Ones
    | Orthogonal
    | RandomNormal
    | RandomUniform
    | ScaledNormal
    | SirenUniform
    | Sparse
    | TorchDefault
    | TruncNormal
    | TruncatedNormal
    | Uniform
    | VarianceScaling
    | XavierFanIn
    | XavierNormal
    | XavierUniform
    | Zero
    | Zeros
)

Initializer = Annotated[AnyInitializer, Field(discriminator="kind"), BeforeValidator(canonical(ALIASES))]
"""A member of the catalogue; a bare name means its defaults, an alias is stored under its canonical kind."""

INITIALIZERS = by_kind(AnyInitializer, BaseInitializer)
"""Every member by its kind, in the order of the union."""

__all__ = [
    "ALIASES",
    "DIFFERENCES",
    "INITIALIZERS",
    "LEFT_OUT",
    "AnyInitializer",
    "BaseInitializer",
    "Initializer",
    "LayerContext",
    "Moments",
    "fans",
]
