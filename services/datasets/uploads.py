"""Uploaded tables as clients meet them: upload one, name it in a spec, delete it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.datasets.shared import SharedUploads
from services.datasets.store import UploadedTable, UploadStore
from services.db.isolation import workspace_of
from services.db.tables import ExperimentRow
from services.errors import (
    ConflictError,
    DatasetInvalidError,
    FieldProblem,
    GoneError,
    InvalidInputError,
    NotFoundError,
    SpecInvalidError,
)
from services.science.datasets import DATASETS
from services.science.datasets.csv_faults import CsvInvalid
from services.science.datasets.csv_table import CsvLimits, CsvOptions, parse_csv
from services.science.datasets.members import spelled
from services.science.datasets.upload import is_upload_name
from services.states import FINAL


def upload_csv(
    data_dir: Path,
    workspace: str,
    stream: BinaryIO,
    options: CsvOptions | None = None,
    *,
    title: str = "",
    limits: CsvLimits | None = None,
    dry_run: bool = False,
    shared: SharedUploads | None = None,
) -> UploadedTable:
    """Parse a CSV file and store it, unless it is a dry run.

    Raises:
        InvalidInputError: the file breaks rules; each problem names line and column.
        BusyError: too many tables are stored.
    """
    try:
        table = parse_csv(stream, options, limits)
    except CsvInvalid as error:
        problems = [FieldProblem("/file", str(fault)) for fault in error.faults]
        raise InvalidInputError(f"the CSV file cannot be used: {error}", problems) from error
    stored = UploadStore(data_dir, workspace, shared).add(table, title, table.options, keep=not dry_run)
    again = (
        ()
        if title in ("", stored.title)
        else (f"the same table was stored before and keeps its title {stored.title!r}",)
    )
    # The same table may have come in another file: the answer tells how this one was read.
    read = {name: getattr(table, name) for name in ("columns", "options", "dropped_rows")}
    return stored.model_copy(update={**read, "notes": (*table.notes, *again)})


def fill_upload(spec: Any, data_dir: Path, workspace: str, shared: SharedUploads | None = None) -> Any:
    """Complete the `dataset` of a posted spec when it is an uploaded table's id: what is known of it is filled in.

    A client's own words about the table are overwritten. Anything else is returned as it is, for validation to judge.

    Raises:
        SpecInvalidError: no such table, or its files are gone.
    """
    if not isinstance(spec, Mapping):
        return spec
    dataset = spec.get("dataset")
    name = dataset.get("name") if isinstance(dataset, Mapping) else dataset
    if not isinstance(name, str) or not is_upload_name(spelled(name)):
        return spec
    try:
        table = UploadStore(data_dir, workspace, shared).get(spelled(name))
    except (NotFoundError, GoneError, DatasetInvalidError) as error:
        raise SpecInvalidError(error.detail, [FieldProblem("/dataset", error.detail)]) from error
    own = dict(dataset) if isinstance(dataset, Mapping) else {}
    return {**spec, "dataset": {**own, "name": table.id, **table.facts()}}


def remove_upload(session: Session, data_dir: Path, name: str, shared: SharedUploads | None = None) -> None:
    """Delete an uploaded table of the session's workspace.

    Raises:
        NotFoundError: no uploaded table has this id.
        ConflictError: an experiment that is not final uses it.
    """
    if name in DATASETS:
        raise ConflictError(f"{name!r} comes with the service; only uploaded tables can be deleted")
    store = UploadStore(data_dir, workspace_of(session), shared)
    using = session.scalars(
        select(ExperimentRow.id).where(ExperimentRow.dataset == name, ExperimentRow.state.not_in(FINAL)).limit(4)
    ).all()
    if using:
        listed = ", ".join(using[:3]) + (" and others" if len(using) > 3 else "")
        raise ConflictError(f"{name} is in use by {listed}; cancel them, or wait until they are final")
    store.delete(name)
