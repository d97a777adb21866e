"""The trials of an experiment, and one trial."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.pagination import Cursor, Limit, Page, decode, encode
from api.state import ContextDep
from services.experiments import store as experiments
from services.states import TrialState
from services.trials import views
from services.trials.views import Trial

router = APIRouter(prefix="/v1", tags=["trials"])


@router.get(
    "/experiments/{experiment_id}/trials",
    summary="List the trials of an experiment",
    response_model=Page[Trial],
    responses=problems(404, 422),
)
def list_trials(
    context: ContextDep,
    experiment_id: str,
    limit: Limit = 100,
    cursor: Cursor = None,
    state: TrialState | None = None,
    arm: Annotated[str | None, Query(max_length=500, description="An arm's label.")] = None,
) -> Response:
    """In the order of the grid: arm by arm, seeds in the order of the spec."""
    after = decode(cursor, int)
    with context.database.read() as session:
        experiments.get(session, experiment_id)
        trials, last = views.page(session, experiment_id, limit, after[0] if after else None, state=state, arm=arm)
    items = [trial.model_dump(mode="json") for trial in trials]
    return JsonAnswer({"items": items, "next_cursor": encode(last) if last is not None else None})


@router.get("/trials/{trial_id}", summary="Read a trial", response_model=Trial, responses=problems(404))
def read_trial(context: ContextDep, trial_id: str) -> Response:
    """One network: its arm, seed, state, final and best epoch, and how it diverged if it did."""
    with context.database.read() as session:
        return JsonAnswer(views.get(session, trial_id).model_dump(mode="json"))
