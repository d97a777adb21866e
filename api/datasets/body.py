"""The file inside an upload: the body itself, or one part of a form. It waits on disk, never whole in memory."""

import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import BinaryIO, cast

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.datasets.options import MOST_FIELDS
from services.errors import FieldProblem, InvalidInputError

IN_MEMORY = 2**20
MOST_FIELD_BYTES = 1_000
PLAIN = ("text/csv", "text/plain", "text/tab-separated-values", "application/csv", "application/octet-stream")


@dataclass(frozen=True)
class PostedFile:
    """A file at its start.

    Attributes:
        name: as its sender calls it; "" for a plain body.
        fields: what else the form holds, by name.
    """

    stream: BinaryIO
    name: str = ""
    fields: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])


@asynccontextmanager
async def uploaded_file(request: Request) -> AsyncGenerator[PostedFile]:
    """The posted file.

    Raises:
        HTTPException: 415 for another media type.
        InvalidInputError: a form without exactly one file.
    """
    header = Message()
    header["content-type"] = request.headers.get("content-type", "text/csv")
    kind = header.get_content_type()
    if kind == "multipart/form-data":
        async with request.form(max_files=2, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES) as form:
            files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
            if len(files) != 1:
                message = f"the form holds {len(files)} files; send one, as curl -F file=@table.csv does"
                raise InvalidInputError(message, [FieldProblem("/file", message)])
            fields: dict[str, list[str]] = {}
            for name, part in form.multi_items():
                if isinstance(part, str):
                    fields.setdefault(name, []).append(part)
            yield PostedFile(files[0].file, files[0].filename or "", fields)
        return
    if kind not in PLAIN:
        raise HTTPException(415, f"send a CSV file as text/csv or multipart/form-data, not {kind[:80]}")
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        async for chunk in request.stream():
            spool.write(chunk)
        spool.seek(0)
        yield PostedFile(cast(BinaryIO, spool))
