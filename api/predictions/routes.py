"""What theory expects of a network before it is trained, and how well that has held."""

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.state import ContextDep
from api.strict_json import StrictRoute
from services.experiments import store as experiments
from services.predictions.networks import PredictionRequest, Predictions, predict_networks
from services.predictions.scorecard import ExperimentCheck, Scorecard, experiment_check, scorecard

router = APIRouter(prefix="/v1", tags=["predictions"], route_class=StrictRoute)


@router.post(
    "/predictions",
    summary="Predict signal propagation",
    response_model=Predictions,
    responses=problems(422),
)
def predict(body: PredictionRequest) -> Response:
    """Second moments, correlations and gradients, layer by layer, of untrained networks; nothing is trained.

    Every activation is combined with every initializer. The sentence of each says what will happen at this depth.
    """
    return JsonAnswer(predict_networks(body).model_dump(mode="json"))


@router.get("/predictions/scorecard", summary="How good predictions were", response_model=Scorecard)
def read_scorecard(context: ContextDep) -> Response:
    """Predicted beside measured, over the newest trials whose untrained layers were measured (diagnostics of epoch 0).

    By activation and initializer, with their default and with other parameters together.
    """
    with context.database.read() as session:
        return JsonAnswer(scorecard(session).model_dump(mode="json"))


@router.get(
    "/experiments/{experiment_id}/predictions",
    summary="Predicted beside measured layers",
    response_model=ExperimentCheck,
    responses=problems(404),
)
def check_experiment(context: ContextDep, experiment_id: str) -> Response:
    """Every arm's untrained layers: what theory expected of them, and what was measured, over the seeds.

    Empty for an experiment without diagnostics of epoch 0; without expectations where theory has none.
    """
    with context.database.read() as session:
        check = experiment_check(session, experiments.get(session, experiment_id))
        return JsonAnswer(check.model_dump(mode="json"))
