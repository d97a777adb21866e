"""How a CSV file is to be read, and how much of one is read."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from services.science.base import Strict
from services.science.datasets.base import Task

Encoding = Literal["utf-8", "utf-16", "latin-1", "windows-1252"]
Delimiter = Literal[",", ";", "\t", "|", " "]
Quote = Literal['"', "'", "none"]
Decimal = Literal[".", ","]
Thousands = Literal[",", ".", " ", "'", "_"]
Missing = Literal["error", "drop_row", "drop_column", "mean", "median", "level"]
Categorical = Literal["one_hot", "drop", "error"]
Dates = Literal["error", "days"]
Spelling = Annotated[str, Field(min_length=1, max_length=100)]


class CsvOptions(Strict):
    """How to read a CSV file. What is None is found in the file, and the answer tells what was found."""

    target: str | None = Field(default=None, description="Column to predict. Default: the last one.")
    task: Task | None = Field(default=None, description="Default: classes if the target is text or few whole numbers.")
    encoding: Encoding | None = Field(
        default=None, description="Of the text. Default: by its byte order mark, else UTF-8, else Latin-1."
    )
    delimiter: Delimiter | None = Field(
        default=None, description="Between two values. Default: the one that cuts every line into as many values."
    )
    quote: Quote | None = Field(default=None, description="Around a value that holds the delimiter.")
    header: bool | None = Field(
        default=None,
        description="Whether the first line names the columns. Default: not if it is like the others. Columns without "
        "a name are called column_1, column_2, … by their place.",
    )
    decimal: Decimal | None = Field(default=None, description="Decimal mark. Default: found column by column.")
    thousands: Thousands | None = Field(
        default=None, description="Mark between groups of three digits. Default: found column by column."
    )
    missing: Missing = Field(
        default="error",
        description="Refuse missing values; drop their rows or columns; fill in a column's mean or median; or the mean "
        "and a 0/1 column that says where. In text columns the last three make missing a level of its own. Rows whose "
        "target is missing are dropped, unless refused.",
    )
    missing_values: tuple[Spelling, ...] = Field(
        default=(), max_length=20, description="More spellings of a missing value, beside '', '?', 'NA', 'nan', …"
    )
    categorical: Categorical = Field(
        default="one_hot",
        description="Text columns become one 0/1 column for each text, are left out, or refused.",
    )
    dates: Dates = Field(default="error", description="Refuse columns of dates, or read days since 1970-01-01.")
    day_first: bool | None = Field(
        default=None, description="Whether 01/02/2026 is in February. Default: by days above 12 in the column."
    )
    drop: tuple[str, ...] = Field(default=(), max_length=1_000, description="Columns to leave out.")
    text_columns: tuple[str, ...] = Field(
        default=(), max_length=1_000, description="Columns to read as text although they hold numbers or dates."
    )


@dataclass(frozen=True)
class CsvLimits:
    """Bounds of what is read. `values` bounds rows times columns after coding (8 bytes each)."""

    bytes: int = 256 * 2**20
    rows: int = 2_000_000
    columns: int = 1_000
    levels: int = 64
    classes: int = 1_000
    values: int = 50_000_000
