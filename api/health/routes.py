"""Liveness, readiness and metrics."""

import socket
from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response

from api.answers import JsonAnswer
from api.health.measurements import Measurements
from api.state import ContextDep
from services.artifacts.interface import Artifacts, StoreUnreachableError
from services.cohorts import workers
from services.cohorts.workers import WorkerStore
from services.experiments.population import Population, population
from services.measurements import exposition

router = APIRouter(tags=["operations"])

MOST_NAMED = 5
"""Workers with another store that are named; the others are counted."""


class Part(BaseModel):
    """One thing the service depends on."""

    status: Literal["ok", "degraded", "down"]
    detail: str


class Readiness(BaseModel):
    """Whether requests can be served (database) and submissions will be worked on (worker): ready is both.

    `store` tells whether this process and all workers keep their files in one place; it never makes ready false.
    """

    ready: bool
    database: Part
    broker: Part
    worker: Part
    store: Part


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

    So do workers with another store than this process, or than one another: what they can see they train.

    What is submitted while no worker can be had is kept, and waits.
    """
    try:
        with context.database.read() as session:
            counts = population(session)
            stores = workers.stores(session)
    except SQLAlchemyError as error:
        report = Readiness(
            ready=False,
            database=Part(status="down", detail=type(error).__name__),
            broker=_broker(context.doorbell.healthy),
            worker=Part(status="down", detail="unknown without the database"),
            store=Part(status="ok", detail="what workers use is unknown without the database"),
        )
        return JsonAnswer(report.model_dump(), status_code=503)
    report = Readiness(
        ready=counts.workers > 0,
        database=Part(status="ok", detail="sqlite" if context.database.is_sqlite else "postgresql"),
        broker=_broker(context.doorbell.healthy),
        worker=_worker(counts),
        store=_store(context.artifacts, stores),
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
            counts = population(session)
    except SQLAlchemyError:
        counts = None
    measured = Measurements(context.telemetry.registry, counts, context.hub.open, context.settings.home)
    text, media = exposition(measured, request.headers.get("accept", ""))
    return Response(text, media_type=media)


def _broker(healthy: bool | None) -> Part:
    if healthy is None:
        return Part(status="ok", detail="nothing was published yet")
    if healthy:
        return Part(status="ok", detail="the last doorbell was delivered")
    return Part(status="degraded", detail="the last doorbell was not delivered: work begins at the next sweep")


def _worker(counts: Population) -> Part:
    if counts.workers:
        alive = f"{counts.workers} alive with {counts.slots} slots"
        if counts.problem is not None:
            return Part(status="degraded", detail=f"{alive}; another takes no work: {counts.problem}")
        return Part(status="ok", detail=alive)
    if counts.problem is not None:
        return Part(status="down", detail=f"alive, but takes no work: {counts.problem}")
    return Part(status="down", detail="none alive: submissions wait until one starts")


def _store(artifacts: Artifacts, stores: Sequence[WorkerStore]) -> Part:
    """Whether this process and all live workers keep uploads and checkpoints in the same store."""
    try:
        own = artifacts.known_id()
    except StoreUnreachableError as error:
        return Part(status="degraded", detail=f"not reached from this API, uploads have to wait: {error}")
    if not stores:
        return Part(status="ok", detail=f"{artifacts.place}; no live worker has said which it uses")
    apart = [theirs for theirs in stores if theirs.store.id != own]
    if not apart:
        return Part(status="ok", detail=f"{artifacts.place}, the same for all")
    named = [f"worker {theirs.worker_id} on {theirs.host}: {theirs.store.place}" for theirs in apart[:MOST_NAMED]]
    more = f" and {len(apart) - MOST_NAMED} more" if len(apart) > MOST_NAMED else ""
    detail = (
        f"not one for all. This API on {socket.gethostname()}: {artifacts.place}; {'; '.join(named)}{more}. What one "
        "keeps the other does not see: uploaded tables are missing there, and work that moves begins again. Set "
        "FIRSTLIGHT_ARTIFACTS_URL to one bucket or shared folder for all, or let all share FIRSTLIGHT_HOME"
    )
    return Part(status="degraded", detail=detail)
