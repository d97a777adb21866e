"""Where uploaded tables live: one folder per id inside the data folder, written whole or not at all."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from services.db.tables import DEFAULT_WORKSPACE
from services.errors import BusyError, DatasetInvalidError, GoneError, NotFoundError
from services.science.datasets.base import Task
from services.science.datasets.csv_columns import ColumnReading
from services.science.datasets.csv_table import CsvOptions, CsvTable
from services.science.datasets.digests import digest_of
from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable
from services.science.datasets.upload import MANIFEST, TABLE, UPLOAD_NAME, UPLOADS, read_manifest, write_table

MOST_UPLOADS = 1_000


class UploadedTable(BaseModel):
    """An uploaded table as clients see it and as its manifest stores it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    title: str
    task: Task
    rows: int
    inputs: int
    outputs: int
    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...]
    digest: str
    bytes: int
    dropped_rows: int
    notes: tuple[str, ...]
    options: CsvOptions
    columns: tuple[ColumnReading, ...] = ()
    """Empty for tables that were stored before it was kept."""
    created_at: datetime
    workspace: str = DEFAULT_WORKSPACE

    def facts(self) -> dict[str, object]:
        """What a spec's data set carries of it."""
        return {name: getattr(self, name) for name in ("task", "rows", "inputs", "outputs", "digest")}


class UploadFolder:
    """The files of all uploaded tables of a data folder, whosever they are. Safe to use from several processes."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / UPLOADS

    def folder(self, table_id: str) -> Path:
        """Where a table's files lie."""
        return self._folder / table_id

    @contextmanager
    def draft(self, table_id: str) -> Generator[Path | None]:
        """A folder for the files of a new table, which takes its place at the end of the block; None if it is there.

        Raises:
            OSError: it cannot be written; nothing is left of it.
        """
        home = self._folder / table_id
        if home.is_dir():
            yield None
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._folder))
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
        home = self._folder / table_id
        if not re.fullmatch(UPLOAD_NAME, table_id) or not home.is_dir():
            raise NotFoundError(f"no uploaded data set {table_id!r} is here")
        return {name: (home / name).open("rb") for name in (MANIFEST, TABLE)}

    def ids(self) -> tuple[str, ...]:
        """The ids of all tables, in order."""
        if not self._folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._folder.iterdir() if re.fullmatch(UPLOAD_NAME, path.name)))


class UploadStore(UploadFolder):
    """The uploaded tables of one workspace in a data folder. Safe to use from several processes.

    The workspace is part of what makes a table's id: no two of them ever share one, nor learn that they could.
    """

    def __init__(self, data_dir: Path, workspace: str) -> None:
        super().__init__(data_dir)
        self._workspace = workspace

    def add(self, table: CsvTable, title: str, options: CsvOptions, *, keep: bool = True) -> UploadedTable:
        """Store a table, or only say what would be stored; the same content gets the same id and is stored once.

        Raises:
            BusyError: the folder holds as many tables as allowed.
        """
        digest = digest_of(table.x, table.y)
        whose = [] if self._workspace == DEFAULT_WORKSPACE else [self._workspace]
        identity = json.dumps([digest, table.features, table.target, table.task, table.classes, *whose])
        table_id = f"dts_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
        home = self._folder / table_id
        if keep and home.is_dir():
            return self.get(table_id)
        if keep and len(self.ids()) >= MOST_UPLOADS:
            raise BusyError(f"{MOST_UPLOADS} uploaded tables are stored; delete some first")
        uploaded = UploadedTable(
            id=table_id,
            title=title,
            task=table.task,
            rows=len(table.x),
            inputs=table.x.shape[1],
            outputs=table.outputs,
            features=table.features,
            target=table.target,
            classes=table.classes,
            digest=digest,
            bytes=table.x.nbytes + table.y.nbytes,
            dropped_rows=table.dropped_rows,
            notes=table.notes,
            options=options,
            columns=table.columns,
            created_at=datetime.now(UTC),
            workspace=self._workspace,
        )
        if not keep:
            return uploaded
        with self.draft(table_id) as draft:
            if draft is not None:
                write_table(draft, table.x, table.y, uploaded.model_dump(mode="json"))
        return uploaded if draft is not None else self.get(table_id)

    def get(self, table_id: str) -> UploadedTable:
        """Read what is known of a table.

        Raises:
            NotFoundError: no such table, or one of another workspace.
            GoneError: its folder is there but its table is not.
            DatasetInvalidError: its manifest cannot be read.
        """
        home = self._home(table_id)
        if not (home / TABLE).is_file():
            raise GoneError(f"the files of the uploaded data set {table_id!r} were removed; upload it again")
        try:
            return UploadedTable.model_validate(read_manifest(home))
        except DatasetUnavailable as error:
            raise GoneError(str(error)) from error
        except (DatasetInvalid, ValidationError) as error:
            raise DatasetInvalidError(f"the manifest of {table_id} cannot be read: {error}") from error

    def list(self) -> tuple[UploadedTable, ...]:
        """Every readable table, newest first."""
        tables: list[UploadedTable] = []
        for table_id in self.ids():
            try:
                tables.append(self.get(table_id))
            except (NotFoundError, GoneError, DatasetInvalidError):
                continue
        return tuple(sorted(tables, key=lambda table: (table.created_at, table.id), reverse=True))

    def delete(self, table_id: str) -> None:
        """Remove a table; experiments that name it can no longer be run again.

        Raises:
            NotFoundError: no such table.
        """
        shutil.rmtree(self._home(table_id))

    def _home(self, table_id: str) -> Path:
        """The folder of a table of this workspace.

        Raises:
            NotFoundError: no such table, or one of another workspace.
        """
        home = self._folder / table_id
        if not re.fullmatch(UPLOAD_NAME, table_id) or not home.is_dir() or _owner(home) != self._workspace:
            raise NotFoundError(f"no uploaded data set {table_id!r} is here")
        return home


def _owner(home: Path) -> str:
    """Whose the table in this folder is. One whose manifest is gone or damaged is nobody's but the default's."""
    try:
        manifest: Any = read_manifest(home)
    except (DatasetUnavailable, DatasetInvalid):
        return DEFAULT_WORKSPACE
    return str(manifest.get("workspace", DEFAULT_WORKSPACE)) if isinstance(manifest, dict) else DEFAULT_WORKSPACE
