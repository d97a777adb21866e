"""The files of a data set, made ready before an experiment is accepted."""

from pathlib import Path

from services.errors import DatasetInvalidError, DatasetUnavailableError, FieldProblem
from services.science.datasets import AnyDataset, DatasetFile, DatasetInvalid, DatasetUnavailable, ensure


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
