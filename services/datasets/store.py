"""Where uploaded tables live: one folder per id inside the data folder, written whole or not at all."""

import hashlib
import json
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from services.db.tables import DEFAULT_WORKSPACE
from services.errors import BusyError, DatasetInvalidError, GoneError, NotFoundError
from services.science.datasets.base import Task
from services.science.datasets.csv_table import CsvOptions, CsvTable
from services.science.datasets.digests import digest_of
from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable
from services.science.datasets.upload import TABLE, UPLOAD_NAME, UPLOADS, read_manifest, write_table

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
    created_at: datetime
    workspace: str = DEFAULT_WORKSPACE

    def facts(self) -> dict[str, object]:
        """What a spec's data set carries of it."""
        return {name: getattr(self, name) for name in ("task", "rows", "inputs", "outputs", "digest")}


class UploadStore:
    """The uploaded tables of one workspace in a data folder. Safe to use from several processes.

    The workspace is part of what makes a table's id: no two of them ever share one, nor learn that they could.
    """

    def __init__(self, data_dir: Path, workspace: str) -> None:
        self._folder = data_dir / UPLOADS
        self._workspace = workspace

    def add(self, table: CsvTable, title: str, options: CsvOptions) -> UploadedTable:
        """Store a table; the same content gets the same id and is stored once.

        Raises:
            BusyError: the folder holds as many tables as allowed.
        """
        digest = digest_of(table.x, table.y)
        whose = [] if self._workspace == DEFAULT_WORKSPACE else [self._workspace]
        identity = json.dumps([digest, table.features, table.target, table.task, table.classes, *whose])
        table_id = f"dts_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
        home = self._folder / table_id
        if home.is_dir():
            return self.get(table_id)
        if len(self._ids()) >= MOST_UPLOADS:
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
            created_at=datetime.now(UTC),
            workspace=self._workspace,
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self._folder))
        try:
            write_table(draft, table.x, table.y, uploaded.model_dump(mode="json"))
            # The draft's folder is private to its owner; a worker may run as another user.
            draft.chmod(0o755)
            draft.rename(home)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not home.is_dir():
                raise
            return self.get(table_id)
        return uploaded

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
        found: list[UploadedTable] = []
        for table_id in self._ids():
            try:
                found.append(self.get(table_id))
            except (NotFoundError, GoneError, DatasetInvalidError):
                continue
        return tuple(sorted(found, key=lambda table: (table.created_at, table.id), reverse=True))

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

    def _ids(self) -> tuple[str, ...]:
        if not self._folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in self._folder.iterdir() if re.fullmatch(UPLOAD_NAME, path.name)))


def _owner(home: Path) -> str:
    """Whose the table in this folder is. One whose manifest is gone or damaged is nobody's but the default's."""
    try:
        manifest: Any = read_manifest(home)
    except (DatasetUnavailable, DatasetInvalid):
        return DEFAULT_WORKSPACE
    return str(manifest.get("workspace", DEFAULT_WORKSPACE)) if isinstance(manifest, dict) else DEFAULT_WORKSPACE
