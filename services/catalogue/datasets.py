"""Data sets as plain values: those known by name, and uploaded tables."""

import inspect
from pathlib import Path
from typing import Any

from services.catalogue.families import find
from services.datasets.shared import SharedUploads
from services.datasets.store import UploadedTable, UploadStore
from services.science.datasets import DATASETS, BuiltIn
from services.science.datasets.files import locate
from services.science.datasets.members import spelled
from services.science.datasets.upload import FACTS, Upload, is_upload_name

Json = dict[str, Any]


def every(data_dir: Path, workspace: str, shared: SharedUploads | None = None) -> list[Json]:
    """Those known by name, then the uploads of the workspace, the newest first."""
    uploads = [upload_entry(table) for table in UploadStore(data_dir, workspace, shared).list()]
    return [*(_built_in(cls, data_dir) for cls in DATASETS.values()), *uploads]


def one(name: str, data_dir: Path, workspace: str, shared: SharedUploads | None = None) -> Json:
    """One data set by its name, or an uploaded table of the workspace by its id.

    Raises:
        NotFoundError: no such data set.
        GoneError: its files were removed.
    """
    plain = spelled(name)
    if is_upload_name(plain):
        return upload_entry(UploadStore(data_dir, workspace, shared).get(plain))
    return _built_in(find(DATASETS, plain, "data set"), data_dir)


def upload_entry(table: UploadedTable) -> Json:
    """An uploaded table as an entry of the catalogue."""
    return {
        "name": table.id,
        "id": table.id,
        "title": table.title,
        "description": table.title or f"an uploaded table of {table.rows} rows",
        "task": table.task,
        "rows": table.rows,
        "test_rows": 0,
        "input_shape": [table.inputs],
        "outputs": table.outputs,
        "features": list(table.features),
        "target": table.target,
        "classes": list(table.classes),
        "licence": "",
        "source": "uploaded",
        "digest": table.digest,
        "size_bytes": table.bytes,
        "needs_download": False,
        "available": True,
        "parameters": _parameters(Upload, ("name", *FACTS)),
        "dropped_rows": table.dropped_rows,
        "notes": list(table.notes),
        "options": table.options.model_dump(mode="json"),
        "columns": [column.model_dump(mode="json") for column in table.columns],
        "created_at": table.created_at.isoformat(),
    }


def _built_in(cls: type[BuiltIn], data_dir: Path) -> Json:
    return {
        "name": cls.model_fields["name"].default,
        "description": cls.description or inspect.getdoc(cls) or "",
        "task": cls.task,
        "rows": cls.rows,
        "test_rows": cls.test_rows,
        "input_shape": list(cls.input_shape),
        "outputs": cls.outputs,
        "features": list(cls.features),
        "target": cls.target,
        "classes": list(cls.classes),
        "licence": cls.licence,
        "source": cls.source,
        "digest": cls.digest,
        "size_bytes": cls.size_bytes,
        "needs_download": cls.needs_download,
        "available": all(locate(source, data_dir) is not None for source in cls.files),
        "parameters": _parameters(cls, ("name",)),
    }


def _parameters(cls: type[BuiltIn | Upload], without: tuple[str, ...]) -> Json:
    properties = cls.model_json_schema().get("properties", {})
    return {"type": "object", "properties": {name: value for name, value in properties.items() if name not in without}}
