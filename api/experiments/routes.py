"""Submit, list, read, steer and delete experiments."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Body, Header, Query, Request
from sqlalchemy.exc import IntegrityError
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.documentation import problems
from api.experiments.schemas import AXES, QUICK, CloneRequest, Experiment
from api.pagination import Cursor, Limit, Page, decode, encode
from api.state import Context, ContextDep
from api.strict_json import StrictRoute
from services import faults
from services.accounts.principal import Principal
from services.cohorts.origin import Origin
from services.datasets.files import ensure_available
from services.db.unit_of_work import UnitOfWork
from services.errors import FieldProblem, InvalidInputError
from services.experiments import idempotency, store
from services.experiments.control import Action, steer
from services.experiments.plan import Plan, parse_spec, plan
from services.experiments.store import Listing
from services.experiments.views import view, views
from services.instants import instant
from services.science.spec import ExperimentSpec
from services.states import State

log = structlog.get_logger(__name__)

SMALL_DOWNLOAD_BYTES = 10_000_000
"""A data set up to this size is fetched while its first submission waits."""

router = APIRouter(prefix="/v1/experiments", tags=["experiments"], route_class=StrictRoute)

SpecBody = Annotated[
    dict[str, Any],
    Body(
        openapi_examples={
            "five fields are enough": {"value": QUICK},
            "every number of an optimizer can be an axis": {"value": AXES},
        }
    ),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=idempotency.MAX_KEY,
        description="A repeated request with the same key and body gets the first one's answer.",
    ),
]
LOCATION = {"Location": {"description": "The new experiment.", "schema": {"type": "string"}}}


@router.post(
    "",
    summary="Submit an experiment",
    status_code=202,
    response_model=Experiment,
    responses={
        200: {"description": "With `dry_run`: what the submission would do.", "model": Plan},
        202: {"description": "Stored and queued.", "headers": LOCATION},
        **problems(takes_spec=True, adds_work=True),
    },
)
def submit(
    request: Request,
    context: ContextDep,
    body: SpecBody,
    idempotency_key: Key = None,
    dry_run: Annotated[bool, Query(description="Only say what would happen.")] = False,
) -> Response:
    """Store the spec with its whole grid and queue it; `dry_run` answers with the plan instead and stores nothing."""
    spec = parse_spec(body, context.settings.data_path, context.principal.workspace, context.uploads)
    if dry_run:
        with context.database.read() as session:
            return JsonAnswer(plan(session, spec, context.settings).model_dump(mode="json"))
    return _submit(request, context, spec, idempotency_key)


@router.get("", summary="List experiments", response_model=Page[Experiment], responses=problems(422))
def list_experiments(
    context: ContextDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    state: State | None = None,
    dataset: Annotated[str | None, Query(max_length=64)] = None,
    tag: Annotated[str | None, Query(max_length=64)] = None,
    created_after: Annotated[str | None, Query(max_length=64, json_schema_extra={"format": "date-time"})] = None,
    filter: Annotated[  # noqa: A002 - the parameter's name on the wire
        str | None,
        Query(
            max_length=2_000,
            description="An expression over state, dataset, tag, name, created_at, trials, epochs with and, or, not, "
            "in (...) and parentheses.",
            openapi_examples={"and, or": {"value": "state = 'running' and (tag = 'lecture' or dataset = 'digits')"}},
        ),
    ] = None,
) -> Response:
    """The newest first; every condition given must hold."""
    listing = Listing(state, dataset, tag, _instant("created_after", created_after), filter)
    after = decode(cursor, datetime, str)
    with context.database.read() as session:
        rows, last = store.page(session, listing, limit, after and (after[0], after[1]))
        items = [_json(Experiment.of(item)) for item in views(session, rows)]
    return JsonAnswer({"items": items, "next_cursor": encode(*last) if last else None})


@router.get(
    "/{experiment_id}",
    summary="Read an experiment",
    response_model=Experiment,
    responses={
        200: {"headers": {"ETag": {"description": "Changes with the content.", "schema": {"type": "string"}}}},
        304: {"description": "Unchanged since the ETag in If-None-Match."},
        **problems(404),
    },
)
def read_experiment(request: Request, context: ContextDep, experiment_id: str) -> Response:
    """The experiment with its trials' states, progress and remaining time."""
    with context.database.read() as session:
        experiment = view(session, store.get(session, experiment_id))
    return with_etag(request, JsonAnswer(_json(Experiment.of(experiment))))


@router.delete("/{experiment_id}", summary="Delete an experiment", status_code=204, responses=problems(404, 409))
def delete_experiment(context: ContextDep, experiment_id: str) -> Response:
    """Delete a final experiment with its trials, rows and files."""
    with context.database.write() as session:
        store.remove(session, experiment_id)
    return Response(status_code=204)


@router.post(
    "/{experiment_id}/clone",
    summary="Submit a copy",
    status_code=202,
    response_model=Experiment,
    responses={
        202: {"description": "Stored and queued.", "headers": LOCATION},
        **problems(404, takes_spec=True, adds_work=True),
    },
)
def clone(
    request: Request,
    context: ContextDep,
    experiment_id: str,
    changes: CloneRequest | None = None,
    idempotency_key: Key = None,
) -> Response:
    """Submit the same spec again, with some fields replaced."""
    with context.database.read() as session:
        body = store.clone_spec(store.get(session, experiment_id), changes.spec if changes else {})
    spec = parse_spec(body, context.settings.data_path, context.principal.workspace, context.uploads)
    return _submit(request, context, spec, idempotency_key)


def _verb(action: Action) -> Callable[[Context, str], Response]:
    def act(context: ContextDep, experiment_id: str) -> Response:
        with context.database.write() as session:
            row = steer(session, experiment_id, action, context.settings)
            session.after_commit(context.doorbell.ring)
            answer = _json(Experiment.of(view(session, row)))
        return JsonAnswer(answer, status_code=202)

    return act


for _action, _summary, _description in (
    (
        Action.CANCEL,
        "Cancel an experiment",
        "What waits is cancelled at once, what runs within a moment. A second cancel is no error, but a final one is.",
    ),
    (
        Action.PAUSE,
        "Pause an experiment",
        "What waits is set aside at once; what runs stops at its next checkpoint and loses nothing.",
    ),
    (Action.RESUME, "Resume a paused experiment", "It goes back to the queue and continues where it stopped."),
    (Action.RETRY, "Retry what failed", "Only the failed trials run again; every other result stands."),
):
    router.add_api_route(
        f"/{{experiment_id}}/{_action}",
        _verb(_action),
        methods=["POST"],
        name=_action,
        summary=_summary,
        description=_description,
        status_code=202,
        response_model=Experiment,
        responses=problems(404, 409, adds_work=_action is Action.RETRY),
    )


def _submit(request: Request, context: Context, spec: ExperimentSpec, idempotency_key: str | None) -> Response:
    """Create the experiment, or give the answer that was given to this key before."""
    with context.traces.span("submit") as span:
        origin = Origin(request.state.request_id, span.traceparent)
        answer, replayed = _stored(context, spec, _scoped(request, idempotency_key), origin)
        span.note(experiment_id=answer["id"], trials=answer["trials"]["total"], replayed=replayed)
    log.info("experiment_submitted", experiment_id=answer["id"], trials=answer["trials"]["total"], replayed=replayed)
    headers = {"Location": answer["links"]["self"], **({"Idempotency-Replayed": "true"} if replayed else {})}
    return JsonAnswer(answer, status_code=202, headers=headers)


def _stored(context: Context, spec: ExperimentSpec, key: str | None, origin: Origin) -> tuple[dict[str, Any], bool]:
    """The experiment as it is answered, and whether it had been stored for this key before."""
    digest = idempotency.body_hash(spec.model_dump(mode="json"))
    # An uploaded table has no size of its own to fetch: it is here or it is not.
    if getattr(spec.dataset, "size_bytes", 0) <= SMALL_DOWNLOAD_BYTES:
        # Outside the transaction: what cannot be had is refused now; a large set is fetched by the worker.
        ensure_available(spec.dataset, context.settings.data_path, download=True)
    if context.data_files is not None:
        context.data_files.share(spec.dataset.files)

    tried: list[str] = []

    def work(session: UnitOfWork) -> tuple[dict[str, Any], bool]:
        if tried and (before := store.find(session, tried[-1])) is not None:
            # The commit of the try before was made, only its reply was lost.
            session.after_commit(context.doorbell.ring)
            return _json(Experiment.of(view(session, before))), False
        if key is not None and (answered := idempotency.stored_answer(session, key, digest)) is not None:
            return answered, True
        row = store.create(session, spec, context.settings, origin)
        tried.append(row.id)
        answer = _json(Experiment.of(view(session, row)))
        if key is not None:
            idempotency.remember(session, key, digest, row.id, answer)
        session.after_commit(lambda: faults.point("api.after_commit"))
        session.after_commit(context.doorbell.ring)
        faults.point("api.before_commit")
        return answer, False

    try:
        return context.database.transact(work)
    except IntegrityError:
        if key is None:
            raise
        # Another request with this key committed between our look and our insert: its answer is there now.
        return context.database.transact(work)


def _instant(parameter: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else instant(text)
    except ValueError as error:
        raise InvalidInputError(f"{parameter}: {error}", [FieldProblem(parameter, str(error))]) from None


def _scoped(request: Request, key: str | None) -> str | None:
    """A key belongs to whoever sent it: two API keys, of whatever workspaces, may use the same one without meeting."""
    principal: Principal = request.state.principal
    # Without the mark of a key of the settings: answers that were stored before there were other keys are found.
    return None if key is None else f"{principal.key_id.removeprefix('env_')}:{key}"


def _json(model: Experiment) -> dict[str, Any]:
    return model.model_dump(mode="json")
