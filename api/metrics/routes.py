"""The epoch rows of an experiment, as JSON pages or as one table."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from api.answers import JsonAnswer
from api.documentation import problems
from api.metrics.schemas import MetricsPage
from api.pagination import Cursor, Limit, decode, encode
from api.state import Context, ContextDep
from services.experiments import store as experiments
from services.trials import series
from services.trials.downsampling import DESCRIPTION, METHOD
from services.trials.series import THIN_BY, Selection
from services.trials.tables import FORMATS

router = APIRouter(prefix="/v1", tags=["trials"])

Format = Literal["json", "csv", "jsonl", "parquet"]
ACCEPTED: dict[str, Format] = {
    "application/json": "json",
    "text/csv": "csv",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
    "application/parquet": "parquet",
    "application/*": "json",
    "text/*": "csv",
    "*/*": "json",
}
THINNED = "X-Downsampled"
TABLES: dict[str, Any] = {media: {"schema": {"type": "string"}} for media, _ in FORMATS.values()}


@router.get(
    "/experiments/{experiment_id}/metrics",
    summary="Read the epoch rows",
    response_model=MetricsPage,
    responses={200: {"content": TABLES}, **problems(404, 406, 422)},
)
def read_metrics(
    request: Request,
    context: ContextDep,
    experiment_id: str,
    trial: Annotated[list[str] | None, Query(max_length=1_000, description="Only these trials.")] = None,
    arm: Annotated[list[str] | None, Query(max_length=1_000, description="Only arms with these labels.")] = None,
    metric: Annotated[list[str] | None, Query(max_length=50, description="Only these metrics.")] = None,
    epoch_from: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    epoch_to: Annotated[int | None, Query(ge=0, le=1_000_000)] = None,
    points: Annotated[
        int | None, Query(ge=2, le=100_000, description=f"At most so many rows of each trial: {DESCRIPTION}.")
    ] = None,
    format: Annotated[Format | None, Query(description="Goes before the Accept header.")] = None,  # noqa: A002
    limit: Limit = 1_000,
    cursor: Cursor = None,
) -> Response:
    """Rows in the order of the grid and the epochs. JSON comes in pages; CSV, JSON Lines and Parquet come whole."""
    chosen = format or _negotiate(request.headers.get("accept", "*/*"))
    selection = Selection(
        tuple(trial or ()), tuple(arm or ()), epoch_from, epoch_to, points, tuple(dict.fromkeys(metric or ()))
    )
    if chosen != "json":
        return _table(context, experiment_id, selection, chosen)
    key = decode(cursor, int, int)
    with context.database.read() as session:
        experiments.get(session, experiment_id)
        trials = series.members(session, experiment_id, selection)
        rows, last, of = series.page(session, trials, selection, limit, (key[0], key[1]) if key else None)
    thinned = None
    if points is not None:
        thinned = {"points": points, "method": METHOD, "by": THIN_BY, "of": of, "description": DESCRIPTION}
    return JsonAnswer({"items": rows, "next_cursor": encode(*last) if last else None, "downsampled": thinned})


def _table(context: Context, experiment_id: str, selection: Selection, chosen: Format) -> Response:
    media, write = FORMATS[chosen]
    with context.database.read() as session:
        experiments.get(session, experiment_id)
        trials = series.members(session, experiment_id, selection)

    def content() -> Iterator[bytes]:
        with context.database.read() as session:
            yield from write(session, trials, selection)

    headers = {"Content-Disposition": f'attachment; filename="{experiment_id}.{chosen}"'}
    if selection.points is not None:
        headers[THINNED] = f"{METHOD}; by={THIN_BY}; points={selection.points}"
    return StreamingResponse(content(), media_type=media, headers=headers)


def _negotiate(accept: str) -> Format:
    """The best format for an Accept header; the client's first among equals.

    Raises:
        HTTPException: 406, nothing that is accepted can be served.
    """
    ranked: list[tuple[float, int, Format]] = []
    for place, entry in enumerate(accept.split(",")):
        media, *parameters = (part.strip() for part in entry.lower().split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            continue
        if media in ACCEPTED and weight > 0:
            ranked.append((-weight, place, ACCEPTED[media]))
    if not ranked:
        served = ", ".join(["application/json", *(media for media, _ in FORMATS.values())])
        raise HTTPException(406, f"this can be served as {served}")
    return min(ranked)[2]
