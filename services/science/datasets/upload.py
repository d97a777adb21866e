"""A user's own table, named by the id its upload was given."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from services.science.datasets.base import BaseDataset, RawData, Task
from services.science.datasets.digests import digest_of
from services.science.datasets.errors import DatasetInvalid, DatasetUnavailable
from services.science.datasets.files import SourceFile
from services.science.datasets.order import order_notes
from services.science.models import Mlp, Model

UPLOAD_NAME = r"^dts_[0-9a-f]{24}$"
"""What the id of an uploaded table looks like; the digits are the start of its content's digest."""
UPLOADS = "uploads"
"""Folder inside the data folder, one folder per id."""
TABLE = "table.npz"
MANIFEST = "manifest.json"
FACTS = ("task", "rows", "inputs", "outputs", "digest")
"""What the service knows about an uploaded table, and a client need not say."""


def is_upload_name(name: str) -> bool:
    """Whether a data set's name is the id of an uploaded table."""
    return re.fullmatch(UPLOAD_NAME, name) is not None


def _only_name_is_asked(schema: dict[str, Any]) -> None:
    schema["required"] = ["name"]


class Upload(BaseDataset):
    """An uploaded table. A client gives the name; the service fills in the facts before the spec is validated."""

    model_config = ConfigDict(json_schema_extra=_only_name_is_asked)

    name: str = Field(pattern=UPLOAD_NAME, description="The id the upload was given.")
    task: Task = Field(description="Filled in by the service.")
    rows: int = Field(ge=2, description="Filled in by the service.")
    inputs: int = Field(ge=1, description="Columns after coding. Filled in by the service.")
    outputs: int = Field(ge=1, description="1, or the number of classes. Filled in by the service.")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the table. Filled in by the service.")

    files: ClassVar[tuple[SourceFile, ...]] = ()
    order_note: ClassVar[str | None] = None
    classes: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and not any(fact in value for fact in FACTS):
            message = f"no uploaded data set {value.get('name')!r} is here; post the table to /v1/datasets first"
            raise ValueError(message)
        return value

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (self.inputs,)

    def row_count(self) -> tuple[int, int]:
        return self.rows, 0

    def default_model(self) -> Model:
        """The model used when a spec names none."""
        return Mlp()

    def fetch(self, data_dir: Path) -> None:
        """Nothing to fetch: the table came with the upload."""

    def notes(self, data_dir: Path) -> tuple[str, ...]:
        """Warn of a tail split when the target is ordered in the file."""
        if self.split != "tail":
            return ()
        try:
            y, classes = read_target(data_dir / UPLOADS / self.name)
        except (DatasetUnavailable, DatasetInvalid):
            return ()
        return order_notes(y, self.split_rows()[0], classes)

    def load(self, data_dir: Path) -> RawData:
        folder = data_dir / UPLOADS / self.name
        x, y = read_table(folder)
        digest = digest_of(x, y)
        if digest != self.digest:
            raise DatasetInvalid(f"{self.name}: {folder / TABLE} has digest {digest} instead of {self.digest}")
        return RawData(x, y, digest)


def write_table(folder: Path, x: NDArray[np.float64], y: NDArray[Any], manifest: Mapping[str, Any]) -> None:
    """Write ``table.npz`` and ``manifest.json`` into an empty folder."""
    np.savez(folder / TABLE, x=x, y=y)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_table(folder: Path) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Read what `write_table` wrote.

    Raises:
        DatasetUnavailable: there is no table.
        DatasetInvalid: the file is damaged.
    """
    x, y = _arrays(folder, "x", "y")
    return x, y


def _arrays(folder: Path, *names: str) -> list[NDArray[Any]]:
    path = folder / TABLE
    if not path.is_file():
        raise DatasetUnavailable(f"{folder.name}: the uploaded table {path} is not there; upload it again")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return [arrays[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetInvalid(f"{folder.name}: {path} cannot be read ({error}); upload the table again") from error


def read_target(folder: Path) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read only the targets of an uploaded table, and the names of its classes.

    Raises:
        DatasetUnavailable: there is no table.
        DatasetInvalid: the file is damaged.
    """
    classes = read_manifest(folder).get("classes", ())
    return _arrays(folder, "y")[0], tuple(map(str, classes))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of an uploaded table.

    Raises:
        DatasetUnavailable: there is none.
        DatasetInvalid: it is not JSON.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DatasetUnavailable(f"{folder.name}: there is no {path}; upload the table again")
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise DatasetInvalid(f"{folder.name}: {path} cannot be read ({error}); upload the table again") from error
