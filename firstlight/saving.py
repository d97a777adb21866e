"""Answers into files: whole or not at all."""

import os
from pathlib import Path

from firstlight.endings import CommandError


def save(path: Path, content: bytes) -> None:
    """Write a file in one step; what was there stays until the new content is whole.

    Raises:
        CommandError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)  # a device or a pipe takes what it gets
            return
        try:
            part.write_bytes(content)
            os.replace(part, path)  # noqa: PTH105
        except OSError:
            part.unlink(missing_ok=True)
            raise
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from None
