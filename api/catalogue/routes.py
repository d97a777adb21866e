"""The catalogue: what there is to choose from, with formulas, parameters, limits and sources."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.catalogue.pages import page
from api.catalogue.schemas import (
    ActivationDetail,
    ActivationEntry,
    InitializerEntry,
    MemberEntry,
    OptimizerEntry,
)
from api.documentation import problems
from api.pagination import Cursor, Limit, Page
from services.catalogue import families

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get(
    "/activations", summary="List the activations", response_model=Page[ActivationEntry], responses=problems(422)
)
def list_activations(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """In alphabetical order of the classes."""
    return page(request, families.activations(), limit, cursor)


@router.get(
    "/activations/{kind}",
    summary="Read an activation",
    response_model=ActivationDetail,
    responses=problems(404, 422),
)
def read_activation(request: Request, kind: str) -> Response:
    """With curve, derivative and Gaussian moments; its parameters may be given as query parameters."""
    return with_etag(request, JsonAnswer(families.activation(kind, dict(request.query_params))))


@router.get(
    "/initializers", summary="List the initializers", response_model=Page[InitializerEntry], responses=problems(422)
)
def list_initializers(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """In the order of the catalogue."""
    return page(request, families.initializers(), limit, cursor)


@router.get(
    "/initializers/{kind}", summary="Read an initializer", response_model=InitializerEntry, responses=problems(404)
)
def read_initializer(request: Request, kind: str) -> Response:
    """Formula, parameters, fans and sources."""
    return with_etag(request, JsonAnswer(families.initializer(kind)))


@router.get("/optimizers", summary="List the optimizers", response_model=Page[OptimizerEntry], responses=problems(422))
def list_optimizers(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """In the order of the catalogue."""
    return page(request, families.optimizers(), limit, cursor)


@router.get("/optimizers/{kind}", summary="Read an optimizer", response_model=OptimizerEntry, responses=problems(404))
def read_optimizer(request: Request, kind: str) -> Response:
    """Update rule, parameters and sources."""
    return with_etag(request, JsonAnswer(families.optimizer(kind)))


@router.get("/models", summary="List the models", response_model=Page[MemberEntry], responses=problems(422))
def list_models(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """In the order of the catalogue."""
    return page(request, families.models(), limit, cursor)


@router.get("/models/{kind}", summary="Read a model", response_model=MemberEntry, responses=problems(404))
def read_model(request: Request, kind: str) -> Response:
    """Structure, parameters and sources."""
    return with_etag(request, JsonAnswer(families.model(kind)))
