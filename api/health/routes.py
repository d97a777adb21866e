"""Liveness, readiness and metrics."""

from typing import Literal

from fastapi import APIRouter
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response

from api.answers import JsonAnswer
from api.state import ContextDep
from services.experiments.population import Population, population

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
def metrics(context: ContextDep) -> Response:
    """Requests, streams, and what the database holds now."""
    text = generate_latest(context.telemetry.registry)
    try:
        with context.database.read() as session:
            found = population(session)
    except SQLAlchemyError:
        return Response(text + b"firstlight_database_up 0\n", media_type=CONTENT_TYPE_PLAIN_0_0_4)
    return Response(text + _gauges(found, context.hub.open), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _gauges(found: Population, streams: int) -> bytes:
    lines = ["# TYPE firstlight_database_up gauge", "firstlight_database_up 1"]
    for name, counts in (
        ("experiments", found.experiments),
        ("cohorts", found.cohorts),
        ("trials", found.trials),
    ):
        lines.append(f"# TYPE firstlight_{name} gauge")
        lines += [f'firstlight_{name}{{state="{state}"}} {count}' for state, count in sorted(counts.items())]
    for name, value in (
        ("workers", found.workers),
        ("slots", found.slots),
        ("oldest_queued_seconds", found.oldest_queued_seconds),
        ("event_streams", streams),
    ):
        lines += [f"# TYPE firstlight_{name} gauge", f"firstlight_{name} {value}"]
    return ("\n".join(lines) + "\n").encode()


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
