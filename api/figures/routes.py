"""Figures: the catalogue of their kinds, and those of an experiment in every form."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import HTMLResponse, Response

from api.answers import JsonAnswer, not_modified, with_etag
from api.catalogue.pages import page as page_of
from api.documentation import problems
from api.pagination import Cursor, Limit, Page
from api.state import ContextDep
from services.catalogue import figures as catalogue
from services.comparisons.comparison import Question
from services.figures.figure import chosen, figure
from services.figures.page import POLICY
from services.reports import report
from services.science.figures.theme import ThemeName

router = APIRouter(prefix="/v1", tags=["figures"])

Form = Literal["json", "svg", "png", "pdf", "html", "csv"]
MEDIA_TYPES: dict[Form, str] = {
    "json": "application/vnd.vegalite.v6+json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
}
STILL = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""A picture opened by itself runs nothing and fetches nothing."""


class FigureEntry(BaseModel):
    """A kind of figure."""

    kind: str
    title: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema of its query parameters.")
    references: list[str]
    forms: list[Form] = Field(description="`json` is Vega-Lite, `csv` the numbers behind the picture.")


@router.get("/figures", summary="List the figures", response_model=Page[FigureEntry], responses=problems(422))
def list_figures(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """What can be drawn of an experiment."""
    return page_of(request, catalogue.figures(), limit, cursor)


@router.get("/figures/{kind}", summary="Read a figure's kind", response_model=FigureEntry, responses=problems(404))
def read_figure(request: Request, kind: str) -> Response:
    """What it shows, and its parameters."""
    return with_etag(request, JsonAnswer(catalogue.figure(kind)))


@router.get(
    "/experiments/{experiment_id}/figures/{kind}.{form}",
    summary="Draw a figure of an experiment",
    response_class=Response,
    responses={
        200: {
            "description": "The figure.",
            "content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()},
        },
        **problems(404, 409, 422, 429),
    },
)
def draw_figure(
    request: Request,
    context: ContextDep,
    experiment_id: str,
    kind: str,
    form: Form,
    theme: Annotated[
        ThemeName, Query(description="`page` takes the colour of the text around an inline SVG.")
    ] = "light",
) -> Response:
    """As Vega-Lite, picture, page that works without a network, or the numbers behind it.

    Every other query parameter is one of the figure's own; `/v1/figures` lists them.
    """
    parameters = {name: value for name, value in request.query_params.items() if name != "theme"}
    chosen_figure = chosen(kind, parameters)
    with context.database.read() as session:
        drawn = figure(session, experiment_id, chosen_figure, theme)
    headers = {"Content-Security-Policy": POLICY if form == "html" else STILL}
    headers["Content-Disposition"] = f'inline; filename="{experiment_id[:60]}-{kind}.{form}"'
    media_type = MEDIA_TYPES[form]
    if form == "csv":
        return with_etag(request, Response(drawn.data.csv(), media_type=media_type, headers=headers))
    if form == "json":
        return with_etag(request, JsonAnswer(drawn.spec, media_type=media_type, headers=headers))
    tag = context.renderer.tag(drawn.spec, form)[:32]
    content = not_modified(request, tag)
    if content is not None:
        return content
    picture = context.renderer.render(drawn.spec, form, keep=drawn.final)
    return with_etag(request, Response(picture, media_type=media_type, headers=headers), tag)


@router.get(
    "/experiments/{experiment_id}/report.html",
    summary="Read the report of an experiment",
    response_class=HTMLResponse,
    responses=problems(404, 409, 422, 429),
)
def read_report(
    request: Request,
    context: ContextDep,
    experiment_id: str,
    metric: Annotated[str, Query(max_length=64)] = "val_loss",
    at: Annotated[Literal["final", "best", "auc"], Query(description="Which number of each trial.")] = "final",
    confidence: Annotated[float, Query(ge=0.5, le=0.9999, allow_inf_nan=False)] = 0.95,
) -> Response:
    """One page that needs nothing from elsewhere: the answer, tables with intervals, pictures, claims, and the spec."""
    question = Question(metric, at, confidence)
    with context.database.read() as session:
        collected = report.collect(session, experiment_id, question, context.settings.grid_grams_co2e_per_kwh)
    page = report.write(collected, context.renderer, question)
    return with_etag(request, HTMLResponse(page, headers={"Content-Security-Policy": report.POLICY}))
