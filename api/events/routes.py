"""The event stream of an experiment."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.documentation import problems
from api.events.stream import EventStream, Feed
from api.state import Context, ContextDep
from services.errors import FieldProblem, InvalidInputError
from services.experiments import store
from services.states import FINAL

router = APIRouter(tags=["experiments"])

EXAMPLE = (
    'retry: 1000\n\nid: 1\nevent: state\ndata: {"state":"queued","previous":null}\n\n'
    'id: 2\nevent: progress\ndata: {"progress":0.1,"eta_seconds":4.5}\n\n'
    'id: 40\nevent: done\ndata: {"state":"succeeded"}\n\n'
)
EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "Its number, from 1 without gaps."},
        "event": {"enum": ["state", "progress", "epoch", "done", "reset"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["id", "event", "data"],
}
"""One event, under the name that OpenAPI 3.2 has for it; 3.1 knows only the text of all."""


@router.get(
    "/v1/experiments/{experiment_id}/events",
    summary="Follow an experiment",
    response_class=Response,
    responses={
        200: {
            "description": (
                "Server-sent events: state, progress, epoch, done; ends after done. A reset stands in place of events "
                "that were removed for their age: read the experiment and its metrics instead."
            ),
            "content": {"text/event-stream": {"schema": {"type": "string"}, "itemSchema": EVENT, "example": EXAMPLE}},
        },
        204: {"description": "The experiment is final and the client has every event: do not come back."},
        **problems(404, 422, 429),
    },
)
async def follow(
    context: ContextDep,
    experiment_id: str,
    last_event_id: Annotated[str | None, Header(description="Resume after this event.")] = None,
) -> Response:
    """Send what happens as it happens.

    `id` counts from 1 without gaps, so that `Last-Event-ID` resumes with none lost and none doubled. Events older than
    the service keeps them are the exception: a `reset` with the `id` of the last one removed stands in their place.
    """
    after = _after(last_event_id)
    if await run_in_threadpool(_has_everything, context, experiment_id, after):
        return Response(status_code=204)
    context.hub.reserve()
    feed = Feed(experiment_id, after, context.principal)
    return EventStream(context.hub, context.keys, context.database, feed)


def _after(last_event_id: str | None) -> int:
    if last_event_id is None or last_event_id == "":
        return 0
    if not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10):
        message = f"should be the number of an event, not {last_event_id[:40]!r}"
        raise InvalidInputError(f"Last-Event-ID: {message}", [FieldProblem("Last-Event-ID", message)])
    return int(last_event_id)


def _has_everything(context: Context, experiment_id: str, after: int) -> bool:
    with context.database.read() as session:
        row = store.get(session, experiment_id)
        return row.state in FINAL and after >= row.event_seq
