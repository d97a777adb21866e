"""Activations that saturate on both sides."""

from typing import ClassVar, Literal

import numpy as np
from scipy.special import expit

from services.science.activations.base import BaseActivation, FloatArray, Recommendation


class Sigmoid(BaseActivation):
    """The logistic function, 1 / (1 + exp(-x)); derivative s (1 - s), at most 1/4."""

    kind: Literal["sigmoid"] = "sigmoid"

    formula: ClassVar[str] = "1 / (1 + exp(-x))"
    range: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    limits: ClassVar[tuple[str, str]] = ("0", "1")
    references: ClassVar[tuple[str, ...]] = (
        "Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors",
        "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, section 3",
    )
    failure: ClassVar[str] = (
        "Saturates and is not centred on zero; the slope is at most 1/4, so at the usual scales gradients shrink at "
        "every layer (chi_1 is about sigma_w^2 / 16)."
    )
    recommended_initializers: ClassVar[tuple[Recommendation, ...]] = (
        Recommendation(
            "glorot_uniform", "balances forward and backward variance near the origin", "Glorot & Bengio 2010, eq. 16"
        ),
        Recommendation(
            "glorot_normal", "the same variance with a (truncated) normal shape", "Glorot & Bengio 2010, eq. 16"
        ),
    )

    def value(self, x: FloatArray) -> FloatArray:
        return expit(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        return expit(x) * expit(-x)


class Tanh(BaseActivation):
    """The hyperbolic tangent; derivative 1 - tanh(x)^2."""

    kind: Literal["tanh"] = "tanh"

    formula: ClassVar[str] = "tanh(x)"
    range: ClassVar[tuple[float | None, float | None]] = (-1.0, 1.0)
    limits: ClassVar[tuple[str, str]] = ("-1", "1")
    references: ClassVar[tuple[str, ...]] = (
        "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, section 4.4",
        "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks",
    )
    failure: ClassVar[str] = "Saturates: large pre-activations leave units near -1 or 1 with almost no gradient."
    recommended_initializers: ClassVar[tuple[Recommendation, ...]] = (
        Recommendation("glorot_uniform", "unit slope at the origin, sigma_w^2 = 1", "Glorot & Bengio 2010, eq. 16"),
        Recommendation("lecun_normal", "keeps pre-activations of order one", "LeCun et al. 1998, eq. 16"),
        Recommendation("critical", "signals reach any depth on the edge of chaos", "Schoenholz et al. 2017"),
    )

    def value(self, x: FloatArray) -> FloatArray:
        return np.tanh(x)

    def derivative(self, x: FloatArray) -> FloatArray:
        # 4 s(2x) s(-2x) keeps the far tails, where 1 - tanh(x)^2 cancels to zero.
        return 4.0 * expit(2.0 * x) * expit(-2.0 * x)
