"""What theory expects of a network before it is trained, and how well that has held."""

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.strict_json import StrictRoute
from services.predictions.service import PredictionRequest, Predictions, predict_networks

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
