"""The files of uploaded tables in the data folder of a host: one folder per id, written whole or not at all."""

import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from services.errors import NotFoundError
from services.science.datasets.upload import MANIFEST, TABLE, UPLOAD_NAME, UPLOADS


class UploadFolder:
    """The files of all uploaded tables of a data folder, whosever they are. Safe to use from several processes."""

    def __init__(self, data_dir: Path) -> None:
        self.root = data_dir / UPLOADS

    def folder(self, table_id: str) -> Path:
        """Where a table's files lie."""
        return self.root / table_id

    @contextmanager
    def draft(self, table_id: str) -> Generator[Path | None]:
        """A folder for the files of a new table, which takes its place at the end of the block; None if it is there.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        home = self.root / table_id
        if home.is_dir():
            yield None
            return
        self.root.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.root))
        try:
            yield draft
            # The draft's folder is private to its owner; a worker may run as another user.
            draft.chmod(0o755)
            draft.rename(home)
        except BaseException as error:
            shutil.rmtree(draft, ignore_errors=True)
            if not (isinstance(error, OSError) and home.is_dir()):  # somebody was faster with the same table
                raise

    def open(self, table_id: str) -> dict[str, IO[bytes]]:
        """The files of a table by their names, to be read and closed; they stay readable when it is deleted meanwhile.

        Raises:
            NotFoundError: no such table.
            OSError: a file of it cannot be read.
        """
        home = self.root / table_id
        if not re.fullmatch(UPLOAD_NAME, table_id) or not home.is_dir():
            raise NotFoundError(f"no uploaded data set {table_id!r} is here")
        return {name: (home / name).open("rb") for name in (MANIFEST, TABLE)}

    def ids(self) -> tuple[str, ...]:
        """The ids of all tables, in order."""
        if not self.root.is_dir():
            return ()
        return tuple(sorted(path.name for path in self.root.iterdir() if re.fullmatch(UPLOAD_NAME, path.name)))
