"""A preset: a study ready to be submitted, the question it asks, and what its source claims."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from services.science.base import Strict
from services.science.spec import ExperimentSpec


class DocumentClaim(Strict):
    """What a document says, and how it is put to the test."""

    key: str
    statement: str = Field(description="In our words.")
    hypotheses: tuple[str, ...] = Field(
        default=(), description="The same as claims; empty where it cannot be said as one."
    )
    note: str = ""


class Preset(Strict):
    """A named spec in the short form that a person would post; its `hypotheses` are those of its claims."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    question: str
    source: str = Field(description="The document whose study this is.")
    description: str
    references: tuple[str, ...] = ()
    claims: tuple[DocumentClaim, ...] = ()
    steps_per_epoch: int | None = Field(
        default=None, ge=1, description="Optimizer steps that a smaller training set keeps, by smaller batches."
    )
    spec: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("spec"), Mapping):
            return value
        hypotheses = [text for claim in value.get("claims", ()) for text in claim.hypotheses]
        own = {"name": value.get("name"), "tags": ["preset"], **value["spec"]}
        return {**value, "spec": {**own, "hypotheses": hypotheses} if hypotheses else own}

    @field_validator("spec")
    @classmethod
    def _valid(cls, value: dict[str, Any]) -> dict[str, Any]:
        ExperimentSpec.model_validate(value)
        return value
