"""Data sets: those the service knows by name, and the tables its users upload."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import JsonAnswer, with_etag
from api.catalogue.pages import page
from api.datasets.body import uploaded_file
from api.datasets.options import UploadOptions, with_fields
from api.datasets.schemas import UPLOAD_EXAMPLE, DatasetEntry, UploadEntry
from api.documentation import problems
from api.pagination import Cursor, Limit, Page
from api.state import ContextDep
from services.catalogue import datasets
from services.datasets.uploads import remove_upload, upload_csv
from services.errors import FieldProblem, InvalidInputError
from services.plain_text import without_wrong_characters, wrong_character

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A CSV file. In a form every option may be a field beside it.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "area,age,price\n120,30,250\n80,12,210\n95,3,230\n"},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "contentMediaType": "text/csv"},
                        **UploadOptions.model_json_schema()["properties"],
                    },
                }
            },
        },
    }
}


@router.get("", summary="List the data sets", response_model=Page[DatasetEntry | UploadEntry], responses=problems(422))
def list_datasets(request: Request, context: ContextDep, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """Those known by name first, then uploaded tables, the newest first."""
    return page(
        request, datasets.every(context.settings.data_path, context.principal.workspace, context.uploads), limit, cursor
    )


@router.post(
    "",
    summary="Upload a table",
    status_code=201,
    response_model=UploadEntry,
    openapi_extra=FILE,
    responses={
        200: {
            "description": "With `dry_run`: what would be stored. Nothing is kept.",
            "model": UploadEntry,
            "content": {"application/json": {"example": {**UPLOAD_EXAMPLE, "available": False}}},
        },
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
    query: Annotated[UploadOptions, Query()],
) -> Response:
    """Read a CSV file and keep it as a table that experiments can train on.

    Encoding, delimiter, quotes, header and the way numbers are written are found in the file unless they are given, and
    the answer tells what was found. What cannot be read is refused with its line and column, everything at once. The
    same content gets the same id and is kept once. In a form options may also be fields.
    """
    async with uploaded_file(request) as posted:
        options = with_fields(query, posted.fields)
        if why := wrong_character(options.name):
            raise InvalidInputError(f"name: {why}", [FieldProblem("name", why)])
        title = options.name or without_wrong_characters(posted.name[:200])
        table = await run_in_threadpool(
            upload_csv,
            context.settings.data_path,
            context.principal.workspace,
            posted.stream,
            options.of_file(),
            title=title,
            dry_run=options.dry_run,
            shared=context.uploads,
        )
    entry = datasets.upload_entry(table)
    if options.dry_run:
        return JsonAnswer({**entry, "available": False})
    return JsonAnswer(entry, status_code=201, headers={"Location": f"/v1/datasets/{table.id}"})


@router.get(
    "/{name}",
    summary="Read a data set",
    response_model=DatasetEntry | UploadEntry,
    responses=problems(404, 410),
)
def read_dataset(request: Request, context: ContextDep, name: str) -> Response:
    """Task, size, licence, source, and whether its files are here."""
    return with_etag(
        request,
        JsonAnswer(datasets.one(name, context.settings.data_path, context.principal.workspace, context.uploads)),
    )


@router.delete("/{name}", summary="Delete an uploaded table", status_code=204, responses=problems(404, 409))
def delete_dataset(context: ContextDep, name: str) -> Response:
    """Refused while an experiment that is not final uses it."""
    with context.database.write() as session:
        remove_upload(session, context.settings.data_path, name, context.uploads)
    return Response(status_code=204)
