"""Piecewise linear stand-ins for the sigmoids: clipped lines."""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from services.science.activations.advice import GLOROT_NORMAL, GLOROT_UNIFORM, PRESERVING
from services.science.activations.base import BaseActivation, FloatArray, Recommendation


class HardSigmoid(BaseActivation):
    """A line of slope 1/6 clipped to [0, 1]; derivative 1/6 strictly between -3 and 3."""

    kind: Literal["hard_sigmoid"] = "hard_sigmoid"

    formula = "min(max(0, x + 3), 6) / 6"
    range = (0.0, 1.0)
    limits = ("0", "1")
    references = (
        "Howard et al. 2019, Searching for MobileNetV3, section 5.2",
        "torch.nn.Hardsigmoid; keras.activations.hard_sigmoid (from version 3)",
    )
    failure = "Exactly no gradient outside (-3, 3), a slope of 1/6 inside, and not centred on zero."
    recommended_initializers = (GLOROT_UNIFORM._replace(reason="as for sigmoid"), GLOROT_NORMAL)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-3.0, 3.0)

    def value(self, x: FloatArray) -> FloatArray:
        return np.clip(x + 3.0, 0.0, 6.0) / 6.0

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(np.abs(x) < 3.0, 1.0 / 6.0, 0.0)


class HardTanh(BaseActivation):
    """x clipped to [min_value, max_value]; derivative 1 strictly inside."""

    kind: Literal["hard_tanh"] = "hard_tanh"
    min_value: float = Field(default=-1.0, ge=-1e3, le=1e3)
    max_value: float = Field(default=1.0, ge=-1e3, le=1e3)

    formula = "min(max(x, min_value), max_value)"
    range = (-1.0, 1.0)
    limits = ("min_value", "max_value")
    references = ("Collobert 2004, Large scale machine learning", "torch.nn.Hardtanh")
    failure = "Exactly no gradient outside the interval."
    recommended_initializers = (
        Recommendation(
            "orthogonal",
            "near sigma_w^2 = 1 the singular values of the whole network stay close to one",
            "Pennington, Schoenholz & Ganguli 2017, Resurrecting the sigmoid in deep learning",
        ),
        GLOROT_UNIFORM,
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_value >= self.max_value:
            raise ValueError(f"min_value must be below max_value, but {self.min_value:g} >= {self.max_value:g}")
        return self

    @property
    def kinks(self) -> tuple[float, ...]:
        return (self.min_value, self.max_value)

    def bounds(self) -> tuple[float | None, float | None]:
        return (self.min_value, self.max_value)

    def value(self, x: FloatArray) -> FloatArray:
        return np.clip(x, self.min_value, self.max_value)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where((x > self.min_value) & (x < self.max_value), 1.0, 0.0)


class SparseSigmoid(BaseActivation):
    """A line of slope 1/2 clipped to [0, 1]; derivative 1/2 strictly between -1 and 1."""

    kind: Literal["sparse_sigmoid"] = "sparse_sigmoid"

    formula = "min(max(0, (x + 1) / 2), 1)"
    range = (0.0, 1.0)
    limits = ("0", "1")
    references = ("Courbariaux, Bengio & David 2015, BinaryConnect, eq. 3", "keras.activations.sparse_sigmoid")
    failure = "Exactly no gradient outside (-1, 1), and not centred on zero."
    recommended_initializers = (GLOROT_UNIFORM._replace(reason="as for sigmoid"), PRESERVING)

    @property
    def kinks(self) -> tuple[float, ...]:
        return (-1.0, 1.0)

    def value(self, x: FloatArray) -> FloatArray:
        return np.clip((x + 1.0) / 2.0, 0.0, 1.0)

    def derivative(self, x: FloatArray) -> FloatArray:
        return np.where(np.abs(x) < 1.0, 0.5, 0.0)
