"""Data sets: those the service knows by name, and the tables its users upload."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.catalogue.pages import page
from api.datasets.body import uploaded_file
from api.datasets.schemas import UPLOAD_EXAMPLE, DatasetEntry, UploadEntry
from api.documentation import problems
from api.pagination import Cursor, Limit, Page
from api.state import ContextDep
from services.catalogue import datasets
from services.datasets.service import remove_upload, upload_csv
from services.errors import FieldProblem, InvalidInputError
from services.plain_text import without_wrong_characters, wrong_character
from services.science.datasets.csv_table import CsvOptions

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

Names = Annotated[list[str] | None, Query(max_length=1_000)]
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A CSV file in UTF-8; its first line names the columns.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "area,age,price\n120,30,250\n80,12,210\n95,3,230\n"},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "contentMediaType": "text/csv"}},
                }
            },
        },
    }
}


@router.get("", summary="List the data sets", response_model=Page[DatasetEntry | UploadEntry], responses=problems(422))
def list_datasets(request: Request, context: ContextDep, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Those known by name first, then uploaded tables, the newest first."""
    return page(request, datasets.every(context.settings.data_path, context.principal.workspace), limit, cursor)


@router.post(
    "",
    summary="Upload a table",
    status_code=201,
    response_model=UploadEntry,
    openapi_extra=FILE,
    responses={
        201: {
            "description": "Stored; its `name` is what a spec calls it.",
            "headers": {"Location": {"description": "The new data set.", "schema": {"type": "string"}}},
            "content": {"application/json": {"example": UPLOAD_EXAMPLE}},
        },
        **problems(413, 415, 422, 429),
    },
)
async def upload(
    request: Request,
    context: ContextDep,
    name: Annotated[str, Query(max_length=200, description="A title for people. Default: the file's name.")] = "",
    target: Annotated[str | None, Query(max_length=200, description="Column to predict. Default: the last.")] = None,
    task: Annotated[
        Literal["regression", "classification"] | None,
        Query(description="Default: classes if the target is text or few whole numbers."),
    ] = None,
    categorical: Annotated[
        Literal["one_hot", "drop", "error"],
        Query(description="Text columns become one 0/1 column for each text, are left out, or refused."),
    ] = "one_hot",
    missing: Annotated[
        Literal["error", "drop_row"], Query(description="Refuse a missing value, or drop its row.")
    ] = "error",
    delimiter: Annotated[Literal[",", ";", "\t", "|"], Query(description="Between two values.")] = ",",
    drop: Annotated[Names, Query(description="Columns to leave out.")] = None,
    text_columns: Annotated[Names, Query(description="Columns to read as text although they hold numbers.")] = None,
) -> Response:
    """Read a CSV file and keep it as a table that experiments can train on.

    What cannot be read is refused with its line and column. The same content gets the same id and is kept once.
    """
    if why := wrong_character(name):
        raise InvalidInputError(f"name: {why}", [FieldProblem("name", why)])
    options = CsvOptions(
        target=target,
        task=task,
        delimiter=delimiter,
        missing=missing,
        categorical=categorical,
        drop=tuple(drop or ()),
        text_columns=tuple(text_columns or ()),
    )
    async with uploaded_file(request) as (stream, filename):
        title = name or without_wrong_characters(filename[:200])
        place = (context.settings.data_path, context.principal.workspace)
        table = await run_in_threadpool(upload_csv, *place, stream, options, title=title)
    return JsonAnswer(datasets.upload_entry(table), status_code=201, headers={"Location": f"/v1/datasets/{table.id}"})


@router.get(
    "/{name}",
    summary="Read a data set",
    response_model=DatasetEntry | UploadEntry,
    responses=problems(404, 410),
)
def read_dataset(request: Request, context: ContextDep, name: str) -> Response:
    """Task, size, licence, source, and whether its files are here."""
    return with_etag(request, JsonAnswer(datasets.one(name, context.settings.data_path, context.principal.workspace)))


@router.delete("/{name}", summary="Delete an uploaded table", status_code=204, responses=problems(404, 409))
def delete_dataset(context: ContextDep, name: str) -> Response:
    """Refused while an experiment that is not final uses it."""
    with context.database.write() as session:
        remove_upload(session, context.settings.data_path, name)
    return Response(status_code=204)
