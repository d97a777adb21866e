"""Presets: studies that are ready to be submitted, each with its question and what its source claims."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.catalogue.pages import page
from api.documentation import problems
from api.pagination import Cursor, Limit, Page
from services.catalogue import presets
from services.science.presets import DocumentClaim

router = APIRouter(prefix="/v1/presets", tags=["catalogue"])


class PresetEntry(BaseModel):
    """A study ready to be submitted."""

    name: str
    title: str
    question: str
    source: str = Field(description="The document whose study this is.")
    description: str
    references: list[str]
    claims: list[DocumentClaim] = Field(description="What the document says, and the hypotheses that test it.")
    spec: dict[str, Any] = Field(description="Can be posted to /v1/experiments as it is.")
    shrunk: list[str] = Field(description="What is not as in the preset; the spec's name says it too.")


@router.get("", summary="List the presets", response_model=Page[PresetEntry], responses=problems(422))
def list_presets(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Studies that are ready to be submitted; the first is the one to start with."""
    return page(request, presets.every(), limit, cursor)


@router.get("/{name}", summary="Read a preset", response_model=PresetEntry, responses=problems(404, 422))
def read_preset(
    request: Request,
    name: str,
    epochs: Annotated[int | None, Query(ge=1, le=10_000, description="Instead of its own.")] = None,
    seeds: Annotated[int | None, Query(ge=1, le=1_000, description="Their number.")] = None,
    train_size: Annotated[int | None, Query(ge=1, description="Training rows kept.")] = None,
    validation_size: Annotated[int | None, Query(ge=1, description="Validation rows kept; image sets only.")] = None,
) -> Response:
    """As it is, or in the size asked for; then `shrunk` and the spec's name say what was changed."""
    preset = presets.one(name, epochs=epochs, seeds=seeds, train_size=train_size, validation_size=validation_size)
    return with_etag(request, JsonAnswer(preset))
