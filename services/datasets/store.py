"""The uploaded tables of a workspace: what is known of each, and adding, listing and deleting them."""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from services.datasets.folder import UploadFolder
from services.datasets.shared import SharedUploads
from services.db.tables import DEFAULT_WORKSPACE
from services.errors import BusyError, DatasetInvalidError, GoneError, NotFoundError
from services.science.datasets.base import Task
from services.science.datasets.csv_columns import ColumnReading
from services.science.datasets.csv_table import CsvOptions, CsvTable
from services.science.datasets.digests import digest_of
from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable
from services.science.datasets.upload import TABLE, UPLOAD_NAME, read_manifest, write_table

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


class UploadStore(UploadFolder):
    """The uploaded tables of one workspace in a data folder. Safe to use from several processes.

    The workspace is part of what makes a table's id: no two of them ever share one, nor learn that they could. With
    `shared` a table is where that says, and the folder holds copies: every method may raise StoreUnreachableError then.
    """

    def __init__(self, data_dir: Path, workspace: str, shared: SharedUploads | None = None) -> None:
        super().__init__(data_dir)
        self._workspace = workspace
        self._shared = shared

    def add(self, table: CsvTable, title: str, options: CsvOptions, *, keep: bool = True) -> UploadedTable:
        """Store a table, or only say what would be stored; the same content gets the same id and is stored once.

        Raises:
            BusyError: the folder holds as many tables as allowed.
        """
        digest = digest_of(table.x, table.y)
        whose = [] if self._workspace == DEFAULT_WORKSPACE else [self._workspace]
        identity = json.dumps([digest, table.features, table.target, table.task, table.classes, *whose])
        table_id = f"dts_{hashlib.sha256(identity.encode()).hexdigest()[:24]}"
        if keep and self._is_here(table_id):
            return self.get(table_id)
        if keep and len(self._all_ids()) >= MOST_UPLOADS:
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
        if self._shared is not None:
            try:
                self._shared.share(table_id)
            except BaseException:
                if draft is not None:
                    shutil.rmtree(self.folder(table_id), ignore_errors=True)
                raise
        return uploaded if draft is not None else self.get(table_id)

    def get(self, table_id: str) -> UploadedTable:
        """Read what is known of a table.

        Raises:
            NotFoundError: no such table, or one of another workspace.
            GoneError: its folder is there but its table is not.
            DatasetInvalidError: its manifest cannot be read.
        """
        home = self._home(table_id)
        return self._read(home)

    def _read(self, home: Path) -> UploadedTable:
        if not (home / TABLE).is_file():
            raise GoneError(f"the files of the uploaded data set {home.name!r} were removed; upload it again")
        try:
            return UploadedTable.model_validate(read_manifest(home))
        except DatasetUnavailable as error:
            raise GoneError(str(error)) from error
        except (DatasetInvalid, ValidationError) as error:
            raise DatasetInvalidError(f"the manifest of {home.name} cannot be read: {error}") from error

    def list(self) -> tuple[UploadedTable, ...]:
        """Every readable table, newest first."""
        tables: list[UploadedTable] = []
        for table_id in self._all_ids():
            with suppress(NotFoundError, GoneError, DatasetInvalidError, ValidationError):
                if (table := self._listed(table_id)).workspace == self._workspace:
                    tables.append(table)
        return tuple(sorted(tables, key=lambda table: (table.created_at, table.id), reverse=True))

    def delete(self, table_id: str) -> None:
        """Remove a table; experiments that name it can no longer be run again.

        Raises:
            NotFoundError: no such table.
        """
        home = self._home(table_id)
        if self._shared is not None:
            self._shared.remove(table_id)
        shutil.rmtree(home)

    def _all_ids(self) -> Sequence[str]:
        return self.ids() if self._shared is None else sorted(self._shared.ids())

    def _is_here(self, table_id: str) -> bool:
        """Whether there is such a table; its files are in the folder then."""
        if self._shared is not None and not self._shared.settle(table_id):
            return False
        return self.folder(table_id).is_dir()

    def _listed(self, table_id: str) -> UploadedTable:
        """What is known of a table; none is fetched or sent anywhere to be listed. See `get` for what is raised."""
        if self._shared is not None and (manifest := self._shared.manifest(table_id)) is not None:
            return UploadedTable.model_validate(manifest)
        home = self.folder(table_id)
        if not home.is_dir() or _owner(home) != self._workspace:
            raise NotFoundError(f"no uploaded data set {table_id!r} is here")
        return self._read(home)

    def _home(self, table_id: str) -> Path:
        """The folder of a table of this workspace.

        Raises:
            NotFoundError: no such table, or one of another workspace.
        """
        home = self.folder(table_id)
        here = re.fullmatch(UPLOAD_NAME, table_id) and self._is_here(table_id)
        if not here or _owner(home) != self._workspace:
            raise NotFoundError(f"no uploaded data set {table_id!r} is here")
        return home


def _owner(home: Path) -> str:
    """Whose the table in this folder is. One whose manifest is gone or damaged is nobody's but the default's."""
    try:
        manifest: Any = read_manifest(home)
    except (DatasetUnavailable, DatasetInvalid):
        return DEFAULT_WORKSPACE
    return str(manifest.get("workspace", DEFAULT_WORKSPACE)) if isinstance(manifest, dict) else DEFAULT_WORKSPACE
