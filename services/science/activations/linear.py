"""The identity, and other activations that stay close to it everywhere."""

from typing import ClassVar, Literal

import numpy as np

from services.science.activations.base import BaseActivation, FloatArray, Recommendation


class Identity(BaseActivation):
    """No non-linearity: a deep linear network, the baseline that theory solves exactly."""

    kind: Literal["identity"] = "identity"

    formula: ClassVar[str] = "x"
    limits: ClassVar[tuple[str, str]] = ("x", "x")
    references: ClassVar[tuple[str, ...]] = (
        "Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning in deep linear networks",
    )
    failure: ClassVar[str] = "The whole network is one linear map, whatever its depth."
    recommended_initializers: ClassVar[tuple[Recommendation, ...]] = (
        Recommendation("orthogonal", "every singular value of every layer is one", "Saxe et al. 2014, section 3"),
        Recommendation("lecun_normal", "sigma_w^2 = 1 keeps the variance", "LeCun et al. 1998, eq. 16"),
    )

    def value(self, x: FloatArray) -> FloatArray:
        return np.array(x, dtype=np.float64)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.ones_like(x)
