"""What every data set is: a frozen choice of rows, split and scaling, and the facts of the data behind it."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from numpy.typing import NDArray
from pydantic import Field, model_validator

from services.science.base import Strict
from services.science.datasets.files import SourceFile, fetch_file
from services.science.models import Mlp, Model

Task = Literal["regression", "classification"]


@dataclass(frozen=True)
class RawData:
    """A data set as its files hold it, in file order.

    Attributes:
        x: float64 ``[n, *input_shape]``, or uint8 for images.
        y: float64 ``[n]`` for regression, int64 class numbers ``[n]`` for classification.
        x_test, y_test: the set's own test rows, which then validate; None where it has none.
        digest: SHA-256 of the raw data.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    digest: str
    x_test: NDArray[Any] | None = None
    y_test: NDArray[Any] | None = None


class BaseDataset(Strict):
    """Which rows of a data set train, which validate, and whether they are standardized."""

    name: Any
    """Always a string: declared as Any so that a member can narrow it to its own Literal."""
    train_size: int | None = Field(
        default=None, ge=1, description="Keep only the first so many training rows after the split."
    )
    validation_fraction: float = Field(
        default=0.2,
        gt=0.0,
        lt=1.0,
        description="Share of the rows that validates; unused where the set has its own test rows.",
    )
    split: Literal["random", "tail"] = Field(
        default="random",
        description="Validate on random rows, or on the last rows of the file as Keras's validation_split.",
    )
    standardize: bool = Field(
        default=True, description="Subtract the training mean and divide by the training deviation."
    )

    @abstractmethod
    def load(self, data_dir: Path) -> RawData:
        """Read the raw data from files that are already in `data_dir`.

        Raises:
            DatasetUnavailable: a file is missing.
            DatasetInvalid: a file does not hold what it promised.
        """
        raise NotImplementedError

    def notes(self, data_dir: Path) -> tuple[str, ...]:  # noqa: ARG002 - for members whose files tell something
        """Warnings that need a look into `data_dir`, for a plan; files that are missing are no matter here."""
        return ()

    @abstractmethod
    def row_count(self) -> tuple[int, int]:
        """Rows to be split, and the set's own test rows (0 where it has none)."""
        raise NotImplementedError

    def split_rows(self) -> tuple[int, int]:
        """Rows that train (before `train_size`) and rows that validate.

        With its own test set a data set validates on that, else on ``round(n * validation_fraction)`` rows.
        """
        rows, test_rows = self.row_count()
        if test_rows:
            return rows, test_rows
        validation = round(rows * self.validation_fraction)
        return rows - validation, validation

    @model_validator(mode="after")
    def _enough_rows(self) -> Self:
        training, validation = self.split_rows()
        if training < 1 or validation < 1:
            message = (
                f"validation_fraction {self.validation_fraction} of {self.name!r} leaves {training} training and "
                f"{validation} validation rows; each needs at least one"
            )
            raise ValueError(message)
        if self.train_size is not None and self.train_size > training:
            message = f"train_size {self.train_size} is more than the {training} training rows of {self.name!r}"
            raise ValueError(message)
        return self


class BuiltIn(BaseDataset):
    """A data set the service knows by name. The class variables are its entry in the catalogue."""

    name: Any = None
    """Each member has its own name here."""

    task: ClassVar[Task]
    rows: ClassVar[int]
    """Rows to be split (all rows, less `test_rows`)."""
    test_rows: ClassVar[int] = 0
    """Rows of the set's own test set, which then validates."""
    input_shape: ClassVar[tuple[int, ...]]
    """Shape of one row: ``(features,)``, or ``(channels, height, width)`` of an image."""
    outputs: ClassVar[int]
    """1 for regression, else the number of classes."""
    features: ClassVar[tuple[str, ...]] = ()
    target: ClassVar[str] = ""
    classes: ClassVar[tuple[str, ...]] = ()
    description: ClassVar[str] = ""
    licence: ClassVar[str] = ""
    source: ClassVar[str] = ""
    digest: ClassVar[str | None] = None
    """SHA-256 of the raw data where it is known beforehand."""
    size_bytes: ClassVar[int] = 0
    """Bytes on disk in the data folder; 0 where nothing is needed there."""
    files: ClassVar[tuple[SourceFile, ...]] = ()
    needs_download: ClassVar[bool] = False
    order_note: ClassVar[str | None] = None
    """What makes the file's order matter, for a warning beside ``split: "tail"``."""

    def row_count(self) -> tuple[int, int]:
        return type(self).rows, type(self).test_rows

    def fetch(self, data_dir: Path) -> None:
        """Download what is missing in `data_dir`.

        Raises:
            DatasetUnavailable: the download failed, or there is nothing to download from.
            DatasetInvalid: what came is not what was published.
        """
        for source in type(self).files:
            fetch_file(self.name, source, data_dir)

    def default_model(self) -> Model:
        """The model used when a spec names none."""
        return Mlp()
