"""Which arm is best, and how sure that is."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.documentation import EXAMPLE_ID, problems
from api.state import ContextDep
from api.strict_json import StrictRoute
from services.comparisons.comparison import Question, comparison
from services.science.base import Strict
from services.science.comparison.models import Comparison

router = APIRouter(prefix="/v1", tags=["comparisons"], route_class=StrictRoute)

Axis = Literal["activation", "initializer", "optimizer", "batch_size"]
METHOD = "How the intervals of the arms' means and of the pairs' differences are made: Student's t, or bootstrap (BCa)."


class ComparisonRequest(Strict):
    """Several experiments, and what to ask of them."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"experiments": [EXAMPLE_ID], "metric": "val_loss", "at": "best"}]},
    )

    experiments: list[str] = Field(min_length=1, max_length=50)
    metric: str = Field("val_loss", max_length=64)
    at: Literal["final", "best", "auc"] = "final"
    confidence: float = Field(0.95, ge=0.5, le=0.9999)
    method: Literal["t", "bca"] = Field("t", description=METHOD)
    by: list[Axis | Literal["experiment"]] = Field(
        default_factory=list[Axis | Literal["experiment"]], max_length=5, description="Average over every other axis."
    )
    threshold: float | None = Field(None, description="Value whose first reaching is timed; default: from the data.")


@router.get(
    "/experiments/{experiment_id}/comparison",
    summary="Compare the arms of an experiment",
    response_model=Comparison,
    responses=problems(404, 409, 422),
)
def compare_experiment(
    request: Request,
    context: ContextDep,
    experiment_id: str,
    metric: Annotated[str, Query(max_length=64)] = "val_loss",
    at: Annotated[Literal["final", "best", "auc"], Query(description="Which number of each trial.")] = "final",
    confidence: Annotated[float, Query(ge=0.5, le=0.9999, allow_inf_nan=False)] = 0.95,
    method: Annotated[Literal["t", "bca"], Query(description=METHOD)] = "t",
    by: Annotated[list[Axis] | None, Query(description="Average over every other axis.")] = None,
    threshold: Annotated[float | None, Query(allow_inf_nan=False, description="For convergence.")] = None,
) -> Response:
    """Intervals, paired tests, a ranking with ties, effects of the axes, and one plain sentence.

    While the experiment runs, only trials that are final count; the others are `missing`.
    """
    question = Question(metric, at, confidence, method, tuple(by or ()), threshold)
    with (
        context.traces.span("comparison", experiment_id=experiment_id, experiments=1, metric=metric),
        context.database.read() as session,
    ):
        answer = comparison(session, [experiment_id], question, context.settings.grid_grams_co2e_per_kwh)
    return with_etag(request, JsonAnswer(answer.model_dump(mode="json")))


@router.post(
    "/comparisons",
    summary="Compare several experiments",
    response_model=Comparison,
    responses=problems(404, 409, 422),
)
def compare_experiments(context: ContextDep, body: ComparisonRequest) -> Response:
    """The arms of all of them side by side; seeds are paired where two arms share them.

    The experiments must have validated on the same rows, in the same units; anything else is refused with what differs.
    Where arms of two experiments are the same, `experiment` is an axis too.
    """
    question = Question(body.metric, body.at, body.confidence, body.method, tuple(body.by), body.threshold)
    ids = list(dict.fromkeys(body.experiments))
    with (
        context.traces.span("comparison", experiments=len(ids), metric=body.metric),
        context.database.read() as session,
    ):
        answer = comparison(session, ids, question, context.settings.grid_grams_co2e_per_kwh)
    return JsonAnswer(answer.model_dump(mode="json"))
