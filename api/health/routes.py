"""Liveness, readiness and metrics."""

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response

from api.answers import JsonAnswer
from api.health.measurements import Measurements
from api.state import ContextDep
from services.experiments.population import Population, population
from services.measurements import exposition

router = APIRouter(tags=["operations"])


class Part(BaseModel):
    """One thing the service depends on."""

    status: Literal["ok", "degraded", "down"]
    detail: str


class Readiness(BaseModel):
    """Whether requests can be served (database) and submissions will be worked on (worker): ready is both."""

    ready: bool
    database: Part
    broker: Part
    worker: Part


@router.get("/healthz", summary="Is the process alive?", response_class=PlainTextResponse)
async def healthz() -> str:
    """Answers as long as the process can answer at all, also while every thread is busy."""
    return "ok"


@router.get(
    "/readyz",
    summary="Can requests be served?",
    response_model=Readiness,
    responses={503: {"description": "The database does not answer, or no worker can be had.", "model": Readiness}},
)
def readyz(context: ContextDep) -> Response:
    """Ready when the database answers and a worker takes work. A missing broker delays work by a second and only shows.

    What is submitted while no worker can be had is kept, and waits.
    """
    try:
        with context.database.read() as session:
            found = population(session)
    except SQLAlchemyError as error:
        report = Readiness(
            ready=False,
            database=Part(status="down", detail=type(error).__name__),
            broker=_broker(context.doorbell.healthy),
            worker=Part(status="down", detail="unknown without the database"),
        )
        return JsonAnswer(report.model_dump(), status_code=503)
    report = Readiness(
        ready=found.workers > 0,
        database=Part(status="ok", detail="sqlite" if context.database.is_sqlite else "postgresql"),
        broker=_broker(context.doorbell.healthy),
        worker=_worker(found),
    )
    return JsonAnswer(report.model_dump(), status_code=200 if report.ready else 503)


@router.get(
    "/metrics",
    summary="Measurements for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request, context: ContextDep) -> Response:
    """Requests, streams, what the database holds now, and what workers have counted that share the home folder.

    As OpenMetrics where that is accepted, else in Prometheus's own format.
    """
    try:
        with context.database.read() as session:
            found = population(session)
    except SQLAlchemyError:
        found = None
    measured = Measurements(context.telemetry.registry, found, context.hub.open, context.settings.home)
    text, media = exposition(measured, request.headers.get("accept", ""))
    return Response(text, media_type=media)


def _broker(healthy: bool | None) -> Part:
    if healthy is None:
        return Part(status="ok", detail="nothing was published yet")
    if healthy:
        return Part(status="ok", detail="the last doorbell was delivered")
    return Part(status="degraded", detail="the last doorbell was not delivered: work begins at the next sweep")


def _worker(found: Population) -> Part:
    if found.workers:
        told = f"{found.workers} alive with {found.slots} slots"
        if found.problem is not None:
            return Part(status="degraded", detail=f"{told}; another takes no work: {found.problem}")
        return Part(status="ok", detail=told)
    if found.problem is not None:
        return Part(status="down", detail=f"alive, but takes no work: {found.problem}")
    return Part(status="down", detail="none alive: submissions wait until one starts")
