"""The file inside an upload: the body itself, or one part of a form. It waits on disk, never whole in memory."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.message import Message
from typing import BinaryIO, cast

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from services.errors import FieldProblem, InvalidInputError

IN_MEMORY = 2**20
PLAIN = ("text/csv", "text/plain", "text/tab-separated-values", "application/csv", "application/octet-stream")


@asynccontextmanager
async def uploaded_file(request: Request) -> AsyncGenerator[tuple[BinaryIO, str]]:
    """The posted file, at its start, and its name ("" for a plain body).

    Raises:
        HTTPException: 415 for another media type.
        InvalidInputError: a form without exactly one file, or with other fields.
    """
    header = Message()
    header["content-type"] = request.headers.get("content-type", "text/csv")
    kind = header.get_content_type()
    if kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=0) as form:
            parts = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
            if len(parts) != 1:
                message = "send exactly one file; options are query parameters"
                raise InvalidInputError(message, [FieldProblem("/file", message)])
            yield parts[0].file, parts[0].filename or ""
        return
    if kind not in PLAIN:
        raise HTTPException(415, f"send a CSV file as text/csv or multipart/form-data, not {kind[:80]}")
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as spool:
        async for chunk in request.stream():
            spool.write(chunk)
        spool.seek(0)
        yield cast(BinaryIO, spool), ""
