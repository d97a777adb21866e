"""What to choose before the first experiment."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.documentation import problems
from api.pagination import Page
from services.catalogue.advice import recommendations
from services.science.recommendations import Recommendation

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get(
    "/recommendations",
    summary="Recommend activations and initializers",
    response_model=Page[Recommendation],
    responses=problems(404, 422),
)
def read_recommendations(
    request: Request,
    task: Annotated[
        Literal["binary", "multiclass", "classification", "regression"],
        Query(description="Decides the output; classification means multiclass."),
    ] = "multiclass",
    depth: Annotated[int, Query(ge=1, le=200, description="Hidden layers; decides what is warned of.")] = 2,
    activation: Annotated[str | None, Query(max_length=64, description="Of the hidden layers, if settled.")] = None,
) -> Response:
    """Ranked by role, each with its reason and source; a warning says what theory predicts at this depth."""
    items = recommendations(task, depth, activation)
    return with_etag(request, JsonAnswer({"items": [item.model_dump() for item in items], "next_cursor": None}))
