"""What became of the claims that an experiment was to test."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.documentation import problems
from api.state import ContextDep
from services.hypotheses.decisions import HypothesisQuestion, claims
from services.science.hypotheses import ClaimResults

router = APIRouter(prefix="/v1", tags=["comparisons"])


@router.get(
    "/experiments/{experiment_id}/claims",
    summary="Decide the claims of an experiment",
    response_model=ClaimResults,
    responses=problems(404, 422),
)
def read_claims(
    request: Request,
    context: ContextDep,
    experiment_id: str,
    confidence: Annotated[float, Query(ge=0.5, le=0.9999, allow_inf_nan=False)] = 0.95,
    test: Annotated[
        Literal["sign_flip", "t"],
        Query(description="The sign-flip test assumes nothing; the t test assumes normal differences."),
    ] = "sign_flip",
) -> Response:
    """Each hypothesis of the spec: upheld, refuted or undecided, with interval, adjusted p and the seeds it needs.

    While the experiment runs, only trials that are final count.
    """
    with context.database.read() as session:
        answer = claims(session, experiment_id, HypothesisQuestion(confidence, test))
    return with_etag(request, JsonAnswer(answer.model_dump(mode="json")))
