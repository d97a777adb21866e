"""Data sets as clients meet them: upload a table, name it in a spec, and have the files of a data set ready."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from services.datasets.store import UploadedTable, UploadStore
from services.errors import (
    DatasetInvalidError,
    DatasetUnavailableError,
    FieldProblem,
    GoneError,
    InvalidInputError,
    NotFoundError,
    SpecInvalidError,
)
from services.science.datasets import AnyDataset, DatasetFile, DatasetInvalid, DatasetUnavailable, ensure
from services.science.datasets.csv_columns import CsvInvalid
from services.science.datasets.csv_table import CsvLimits, CsvOptions, parse_csv
from services.science.datasets.members import spelled
from services.science.datasets.upload import UPLOAD_NAME


def upload_csv(
    data_dir: Path,
    stream: BinaryIO,
    options: CsvOptions | None = None,
    *,
    title: str = "",
    limits: CsvLimits | None = None,
) -> UploadedTable:
    """Parse and store a CSV file.

    Raises:
        InvalidInputError: the file breaks a rule; the problem names line and column.
        BusyError: too many tables are stored.
    """
    options = options or CsvOptions()
    try:
        table = parse_csv(stream, options, limits)
    except CsvInvalid as error:
        raise InvalidInputError(f"the CSV file cannot be used: {error}", [FieldProblem("/file", str(error))]) from error
    return UploadStore(data_dir).add(table, title, options)


def fill_upload(spec: Any, data_dir: Path) -> Any:
    """Complete the `dataset` of a posted spec when it is an uploaded table's id: what is known of it is filled in.

    A client's own words about the table are overwritten. Anything else is returned as it is, for validation to judge.

    Raises:
        SpecInvalidError: no such table, or its files are gone.
    """
    if not isinstance(spec, Mapping):
        return spec
    dataset = spec.get("dataset")
    name = dataset.get("name") if isinstance(dataset, Mapping) else dataset
    if not isinstance(name, str) or not re.fullmatch(UPLOAD_NAME, spelled(name)):
        return spec
    try:
        table = UploadStore(data_dir).get(spelled(name))
    except (NotFoundError, GoneError, DatasetInvalidError) as error:
        raise SpecInvalidError(error.detail, [FieldProblem("/dataset", error.detail)]) from error
    own = dict(dataset) if isinstance(dataset, Mapping) else {}
    return {**spec, "dataset": {**own, "name": table.id, **table.facts()}}


def ensure_available(choice: AnyDataset, data_dir: Path, *, download: bool) -> DatasetFile:
    """Check, and when allowed fetch, the files of a data set.

    Raises:
        DatasetUnavailableError: says what to put where.
        DatasetInvalidError: a file does not hold what it promised.
    """
    try:
        return ensure(choice, data_dir, download=download)
    except DatasetUnavailable as error:
        raise DatasetUnavailableError(str(error), [FieldProblem("/dataset", str(error))]) from error
    except DatasetInvalid as error:
        raise DatasetInvalidError(str(error)) from error
