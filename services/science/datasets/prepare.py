"""From raw data to the arrays that train and validate: split, keep, standardize."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.base import BuiltIn, RawData, Task
from services.science.datasets.files import DatasetFile, check_all
from services.science.datasets.upload import Upload
from services.science.streams import Purpose, stream


@dataclass(frozen=True)
class PreparedData:
    """What a trial trains and validates on; the same for every seed and arm.

    Attributes:
        x_train, x_validation: float32 ``[n, *input_shape]``.
        y_train, y_validation: float32 ``[n, 1]`` (regression, standardized) or int64 class numbers ``[n]``.
        outputs: 1 for regression, else the number of classes.
        target_mean, target_std: to turn a prediction back into the target's unit; 0 and 1 where not standardized.
        digest: SHA-256 of the raw data.
    """

    x_train: NDArray[np.float32]
    y_train: NDArray[Any]
    x_validation: NDArray[np.float32]
    y_validation: NDArray[Any]
    task: Task
    outputs: int
    target_mean: float
    target_std: float
    digest: str


def plan_rows(choice: BuiltIn | Upload) -> tuple[int, int]:
    """Count training and validation rows without loading anything."""
    training, validation = choice.split_rows()
    return min(training, choice.train_size or training), validation


def plan_notes(choice: BuiltIn | Upload) -> tuple[str, ...]:
    """Warnings about a choice that need no data: for a plan."""
    notes = unused_fraction(choice)
    if choice.split == "tail" and choice.order_note and not choice.row_count()[1]:
        notes += (f"split is tail but {choice.order_note}: the validation rows are unlike the training rows",)
    return notes


def unused_fraction(choice: BuiltIn | Upload) -> tuple[str, ...]:
    """Say so when a `validation_fraction` was asked for but the set's own test rows validate."""
    default = type(choice).model_fields["validation_fraction"].default
    if choice.row_count()[1] and choice.validation_fraction != default:
        return (f"{choice.name} validates on its own test rows: validation_fraction is not used",)
    return ()


def ensure(choice: BuiltIn | Upload, data_dir: Path, *, download: bool) -> DatasetFile:
    """Check that the data set's files are in `data_dir`, fetching them when `download` is true.

    Raises:
        DatasetUnavailable: a file is missing; says what to put where.
        DatasetInvalid: a file does not hold what it promised.
    """
    if download:
        choice.fetch(data_dir)
    if choice.files:
        return check_all(choice.name, choice.files, data_dir)
    return DatasetFile(choice.load(data_dir).digest)


def prepare(choice: BuiltIn | Upload, data_dir: Path, *, download: bool = False) -> PreparedData:
    """Load, split and standardize; everything is computed in float64 and stored as float32.

    ``order = stream(0, SPLIT, 0).permutation(n)`` for a random split, the file's order for a tail split. The first
    ``n - round(n * validation_fraction)`` rows train, the rest validate. A set with its own test rows is ordered the
    same way, trains on all n and validates on its test rows in file order. Then the first `train_size` training rows
    are kept, and means and deviations (ddof 0; 1 where it is 0) are taken over them. With `download` missing files are
    fetched.

    Raises:
        DatasetUnavailable, DatasetInvalid: see `ensure`.
    """
    if download:
        choice.fetch(data_dir)
    raw = choice.load(data_dir)
    x_train, y_train, x_validation, y_validation = _split(choice, raw)
    if raw.x.dtype == np.uint8:
        x_train, x_validation = _scaled_images(x_train, x_validation, standardize=choice.standardize)
    else:
        x_train, x_validation = _scaled_columns(x_train, x_validation, standardize=choice.standardize)
    target_mean, target_std = 0.0, 1.0
    if choice.task == "regression":
        if choice.standardize:
            target_mean, target_std = _moments(y_train)
        y_train, y_validation = (
            ((y - target_mean) / target_std).astype(np.float32)[:, None] for y in (y_train, y_validation)
        )
    return PreparedData(
        x_train=x_train,
        y_train=y_train,
        x_validation=x_validation,
        y_validation=y_validation,
        task=choice.task,
        outputs=choice.outputs,
        target_mean=target_mean,
        target_std=target_std,
        digest=raw.digest,
    )


def _split(choice: BuiltIn | Upload, raw: RawData) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    rows = len(raw.x)
    order = stream(0, Purpose.SPLIT, 0).permutation(rows) if choice.split == "random" else np.arange(rows)
    training, validation = choice.split_rows()
    keep = order[: min(training, choice.train_size or training)]
    if raw.x_test is not None and raw.y_test is not None:
        return raw.x[keep], raw.y[keep], raw.x_test[:validation], raw.y_test[:validation]
    held_out = order[training:]
    return raw.x[keep], raw.y[keep], raw.x[held_out], raw.y[held_out]


def _moments(values: NDArray[np.float64]) -> tuple[float, float]:
    mean, std = _column_moments(values[:, None])
    return float(mean[0]), float(std[0])


def _column_moments(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # A constant column's computed deviation can be a rounding error instead of 0, so constancy is tested by itself.
    constant = x.min(axis=0) == x.max(axis=0)
    mean = np.where(constant, x[0], x.mean(axis=0))
    return mean, np.where(constant, 1.0, x.std(axis=0))


def _scaled_columns(
    train: NDArray[np.float64], validation: NDArray[np.float64], *, standardize: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if not standardize:
        return train.astype(np.float32), validation.astype(np.float32)
    mean, std = _column_moments(train)
    return ((train - mean) / std).astype(np.float32), ((validation - mean) / std).astype(np.float32)


def _scaled_images(
    train: NDArray[np.uint8], validation: NDArray[np.uint8], *, standardize: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scale ``[n, channels, height, width]`` by a table of the 256 byte values: float64 exactness, no float64 copy."""
    channels = train.shape[1]
    tables = np.tile(np.arange(256) / 255.0, (channels, 1))
    if standardize:
        counts = np.zeros((channels, 256), np.int64)
        for _, part in _chunks(train):
            for channel in range(channels):
                counts[channel] += np.bincount(part[:, channel].ravel(), minlength=256)
        share = counts / counts.sum(axis=1, keepdims=True)
        mean = (share * tables).sum(axis=1, keepdims=True)
        std = np.sqrt((share * (tables - mean) ** 2).sum(axis=1, keepdims=True))
        # The deviation of a channel of one value may come out as a rounding error instead of 0.
        constant = (counts > 0).sum(axis=1, keepdims=True) == 1
        tables = (tables - mean) / np.where(constant, 1.0, std)
    scaled: list[NDArray[np.float32]] = []
    for images in (train, validation):
        out = np.empty(images.shape, np.float32)
        for start, part in _chunks(images):
            for channel in range(channels):
                out[start : start + len(part), channel] = tables[channel].astype(np.float32)[part[:, channel]]
        scaled.append(out)
    return scaled[0], scaled[1]


def _chunks(images: NDArray[np.uint8]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Cut the rows so that a chunk and its copies stay in the processor's cache."""
    rows = max(1, 2**18 // int(np.prod(images.shape[1:])))
    for start in range(0, len(images), rows):
        yield start, images[start : start + rows]
