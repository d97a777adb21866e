"""What the catalogue's entries look like on the wire."""

from typing import Any

from pydantic import BaseModel, Field


class MemberEntry(BaseModel):
    """One member of a family."""

    kind: str
    description: str
    formula: str
    parameters: dict[str, Any] = Field(description="JSON Schema of its parameters.")
    references: list[str]


class Recommended(BaseModel):
    """An initializer that suits an activation."""

    initializer: str
    reason: str
    source: str


class ActivationEntry(MemberEntry):
    """An activation."""

    range: list[float | None] = Field(description="Infimum and supremum; null where unbounded.")
    limits: dict[str, str]
    failure: str = Field(description="How a network with it goes wrong.")
    recommended_initializers: list[Recommended]
    width_factor: int = Field(description="Input width over output width: 2 for gated linear units.")
    learned: list[str] = Field(description="Parameters that are trained.")


class Curve(BaseModel):
    """The function and its derivative, sampled."""

    x: list[float]
    value: list[float | None]
    derivative: list[float | None]


class ActivationDetail(ActivationEntry):
    """An activation at given parameters."""

    at: dict[str, Any] = Field(description="The parameters that the numbers below belong to.")
    kinks: list[float]
    curve: Curve | None = None
    moments: dict[str, float | None] = Field(description="Expectations under a standard normal input, and gains.")
    gain_note: str


class InitializerEntry(MemberEntry):
    """An initializer."""

    fan_convention: str
    gain_note: str
    data_dependent: bool
    needs_activation: bool
    sequential: bool


class OptimizerEntry(MemberEntry):
    """An optimizer."""

    state: list[str] = Field(description="Arrays kept beside every parameter.")
