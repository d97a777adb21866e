"""A preset: a study ready to be submitted, with what it is meant to show."""

from typing import Any

from pydantic import Field, field_validator

from services.science.base import Strict
from services.science.spec import ExperimentSpec


class Preset(Strict):
    """A named spec in the short form that a person would post. Its claims to be tested are the spec's `hypotheses`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    description: str
    references: tuple[str, ...] = ()
    spec: dict[str, Any]

    @field_validator("spec")
    @classmethod
    def _valid(cls, value: dict[str, Any]) -> dict[str, Any]:
        ExperimentSpec.model_validate(value)
        return value
