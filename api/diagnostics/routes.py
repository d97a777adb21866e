"""What the layers of an experiment's trials looked like, epoch by epoch."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from api.answers import JsonAnswer
from api.documentation import problems
from api.pagination import Cursor, Limit, Page, decode, encode
from api.state import ContextDep
from services.diagnostics.filter import QUANTITIES
from services.diagnostics.pages import LayerDiagnostics, Wanted, page
from services.experiments import store as experiments
from services.science.diagnostics import HISTOGRAM_EDGES

router = APIRouter(prefix="/v1", tags=["trials"])

Epoch = Annotated[int, Field(ge=0, le=1_000_000)]


class DiagnosticsPage(Page[LayerDiagnostics]):
    """Rows in the order of the grid, the epochs and the layers."""

    histogram_edges: list[float] = Field(description="Edges of the bins of every histogram.")


@router.get(
    "/experiments/{experiment_id}/diagnostics",
    summary="Read the layer diagnostics",
    response_model=DiagnosticsPage,
    responses=problems(404, 422),
)
def read_diagnostics(
    context: ContextDep,
    experiment_id: str,
    trial: Annotated[list[str] | None, Query(max_length=1_000, description="Only these trials.")] = None,
    arm: Annotated[list[str] | None, Query(max_length=1_000, description="Only arms with these labels.")] = None,
    epoch: Annotated[list[Epoch] | None, Query(max_length=1_000, description="Only after these epochs.")] = None,
    layer: Annotated[list[str] | None, Query(max_length=200, description="Only these layers, by name.")] = None,
    quantity: Annotated[
        list[str] | None, Query(max_length=50, description="Only these numbers of each row; default: all.")
    ] = None,
    where: Annotated[
        str | None,
        Query(
            max_length=2_000,
            description="An expression over epoch, layer, layer_index, seed, arm, state and the quantities "
            f"({', '.join(QUANTITIES)}) with and, or, not, in (...) and parentheses.",
            openapi_examples={"dead units at the start": {"value": "dead_fraction > 0.5 and epoch = 0"}},
        ),
    ] = None,
    limit: Limit = 500,
    cursor: Cursor = None,
) -> Response:
    """Moments, saturation, dead units, gradients and more of each layer, after the epochs the spec's schedule names.

    At epoch 0 the second moments and gradients that theory predicts stand beside the measured ones.
    """
    after = decode(cursor, int, int, int, str)
    selection = Wanted(
        tuple(trial or ()), tuple(arm or ()), tuple(epoch or ()), tuple(layer or ()), tuple(quantity or ()), where
    )
    with context.database.read() as session:
        experiments.get(session, experiment_id)
        items, last = page(session, experiment_id, selection, limit, after and (after[0], after[1], after[2], after[3]))
    return JsonAnswer(
        {
            "items": [item.model_dump(mode="json") for item in items],
            "next_cursor": encode(*last) if last else None,
            "histogram_edges": HISTOGRAM_EDGES,
        }
    )
