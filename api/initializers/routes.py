"""Look at what an initializer draws."""

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.strict_json import StrictRoute
from services.catalogue.sampling import Sample, SampleRequest, sample

router = APIRouter(prefix="/v1/initializers", tags=["catalogue"], route_class=StrictRoute)


@router.post("/{kind}/sample", summary="Draw a weight", response_model=Sample, responses=problems(404, 422))
def draw(kind: str, body: SampleRequest) -> Response:
    """The values that a trial with this seed starts from, with theoretical beside sample mean and deviation."""
    return JsonAnswer(sample(kind, body).model_dump(mode="json"))
