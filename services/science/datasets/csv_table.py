"""A user's CSV file as a table that can train: bounded, typed column by column, and refused with a line number."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from services.science.base import Strict
from services.science.datasets.base import Task
from services.science.datasets.csv_columns import (
    MISSING,
    Column,
    CsvInvalid,
    NumberColumn,
    TextColumn,
    number,
    shown,
)

MOST_INFERRED_CLASSES = 20
"""A target of so few different whole numbers is taken as classes unless the task is given."""


class CsvOptions(Strict):
    """How to read a CSV file. The first line that is not blank names the columns."""

    target: str | None = Field(default=None, description="Column to predict. Default: the last one.")
    task: Task | None = Field(default=None, description="Default: classes if the target is text or few whole numbers.")
    delimiter: Literal[",", ";", "\t", "|"] = Field(default=",", description="Between two values.")
    missing: Literal["error", "drop_row"] = Field(
        default="error", description="Refuse a missing value, or drop its row."
    )
    categorical: Literal["one_hot", "drop", "error"] = Field(
        default="one_hot",
        description="Text columns become one 0/1 column for each text, are left out, or refused.",
    )
    drop: tuple[str, ...] = Field(default=(), max_length=1_000, description="Columns to leave out.")
    text_columns: tuple[str, ...] = Field(
        default=(), max_length=1_000, description="Columns to read as text although they start with numbers."
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


@dataclass(frozen=True)
class CsvTable:
    """A table ready to train on.

    Attributes:
        x: float64 ``[n, d]``; numbers as they are, text as one 0/1 column for each level, in the file's column order.
        y: float64 ``[n]`` or int64 class numbers ``[n]``.
        features: names of x's columns; a level's is ``column=level``.
        classes: names of the classes in the order of their numbers; empty for regression.
        notes: what was decided or left out.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]
    features: tuple[str, ...]
    target: str
    task: Task
    classes: tuple[str, ...]
    dropped_rows: int
    notes: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """1, or the number of classes."""
        return len(self.classes) or 1


def parse_csv(stream: BinaryIO, options: CsvOptions | None = None, limits: CsvLimits | None = None) -> CsvTable:
    """Read a CSV file (UTF-8, RFC 4180 quoting) in one pass.

    A column's first value decides whether it holds numbers or text.

    Raises:
        CsvInvalid: the file breaks a rule or a limit; names line and column.
    """
    reading = _Reading(options or CsvOptions(), limits or CsvLimits())
    return reading.run(stream)


@dataclass
class _Reading:
    """One pass over a file."""

    options: CsvOptions
    limits: CsvLimits
    names: list[str] = field(default_factory=list)
    target: str = ""
    columns: dict[str, Column | None] = field(default_factory=dict)
    """Used columns by name; None until the first value decides."""
    kept: int = 0
    dropped: int = 0
    notes: list[str] = field(default_factory=list)

    def run(self, stream: BinaryIO) -> CsvTable:
        for rows, lines in self._chunks(self._records(stream)):
            self._take(rows, lines)
        if self.kept < 2:
            left = f"; {self.dropped} were dropped for missing values" if self.dropped else ""
            raise CsvInvalid(f"the table has {self.kept} rows{left}; at least 2 are needed")
        if self.dropped:
            self.notes.append(f"{self.dropped} rows with a missing value were dropped")
        y, task, classes = self._targets()
        x, features = self._inputs()
        return CsvTable(x, y, features, self.target, task, classes, self.dropped, tuple(self.notes))

    def _records(self, stream: BinaryIO) -> Iterator[tuple[int, list[str]]]:
        """Yield each record that is not blank with the line it starts on."""
        reader = csv.reader(self._lines(stream), delimiter=self.options.delimiter, strict=True)
        start = 1
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise CsvInvalid(f"not readable as CSV: {error}", line=start) from error
            if row:
                yield start, row
            start = reader.line_num + 1

    def _lines(self, stream: BinaryIO) -> Iterator[str]:
        total = 0
        for position, raw in enumerate(iter(lambda: stream.readline(self.limits.bytes + 1), b""), start=1):
            total += len(raw)
            if total > self.limits.bytes:
                raise CsvInvalid(f"the file is larger than {self.limits.bytes} bytes", line=position)
            try:
                yield raw.decode("utf-8-sig" if position == 1 else "utf-8")
            except UnicodeDecodeError as error:
                message = f"byte {error.start + 1} of the line is not UTF-8; save the file as UTF-8"
                raise CsvInvalid(message, line=position) from error

    def _chunks(self, records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[list[list[str]], list[int]]]:
        """Read the header, then the records in chunks of bounded size."""
        first = next(records, None)
        if first is None:
            raise CsvInvalid("the file is empty; its first line must name the columns")
        self._header(*first)
        width, most = len(self.names), max(1, 200_000 // len(self.names))
        rows: list[list[str]] = []
        lines: list[int] = []
        for count, (line, row) in enumerate(records, start=1):
            if len(row) != width:
                raise CsvInvalid(f"{len(row)} values instead of {width}", line=line)
            if count > self.limits.rows:
                raise CsvInvalid(f"more than {self.limits.rows} rows", line=line)
            rows.append(row)
            lines.append(line)
            if len(rows) == most:
                yield rows, lines
                rows, lines = [], []
        if rows:
            yield rows, lines

    def _header(self, line: int, row: list[str]) -> None:
        self.names = [name.strip() for name in row]
        if len(self.names) > self.limits.columns:
            raise CsvInvalid(f"{len(self.names)} columns; at most {self.limits.columns} are allowed", line=line)
        seen: dict[str, int] = {}
        for place, name in enumerate(self.names, start=1):
            if not name:
                raise CsvInvalid(f"column {place} has no name", line=line)
            if not name.isprintable():
                raise CsvInvalid(f"the name of column {place}, {shown(name)}, holds control characters", line=line)
            if name in seen:
                raise CsvInvalid(f"columns {seen[name]} and {place} are both named {shown(name)}", line=line)
            seen[name] = place
        if all(number(name) is not None for name in self.names):
            raise CsvInvalid("only numbers; the first line must name the columns", line=line)
        options = self.options
        self.target = self.names[-1] if options.target is None else options.target
        for what, names in (("target", [self.target]), ("drop", options.drop), ("text_columns", options.text_columns)):
            for name in names:
                if name not in seen:
                    raise CsvInvalid(f"{what} names {shown(name)}, which is none of the columns {_listed(self.names)}")
        if self.target in options.drop:
            raise CsvInvalid(f"the target {shown(self.target)} cannot be dropped")
        self.columns = {name: None for name in self.names if name not in options.drop}
        if len(self.columns) < 2:
            raise CsvInvalid("a table needs a target and at least one other column", line=line)

    def _take(self, rows: list[list[str]], lines: list[int]) -> None:
        """Read a chunk column by column, then keep the rows in which nothing is missing."""
        whole = np.ones(len(rows), bool)
        parts: list[tuple[Column, NDArray[Any]]] = []
        for name, values in zip(self.names, zip(*rows, strict=True), strict=True):
            if name not in self.columns:
                continue
            column = self.columns[name] or self._decide(name, values, lines)
            if name not in self.columns:
                continue
            if column is None:
                missing = np.ones(len(rows), bool)
            else:
                part, missing = column.read(values, lines)
                parts.append((column, part))
            if missing.any() and self.options.missing == "error":
                message = "the value is missing; fill it in, or drop such rows with missing=drop_row"
                raise CsvInvalid(message, line=lines[int(missing.argmax())], column=name)
            whole &= ~missing
        complete = int(whole.sum())
        self.kept += complete
        self.dropped += len(rows) - complete
        if complete:
            for column, part in parts:
                column.keep(part[whole])
        if self.kept * len(self.columns) > self.limits.values:
            raise CsvInvalid(f"more than {self.limits.values} values", line=lines[-1])

    def _decide(self, name: str, values: Iterable[str], lines: list[int]) -> Column | None:
        """Type a column by its first value that is not missing; None while there is none."""
        first = next(((line, v) for line, v in zip(lines, values, strict=True) if v.strip() not in MISSING), None)
        if first is None:
            return None
        line, value = first
        options, limits = self.options, self.limits
        column: Column
        if name not in options.text_columns and number(value.strip()) is not None:
            column = NumberColumn(name)
        elif name == self.target:
            if options.task == "regression":
                raise CsvInvalid(f"the target of a regression holds {shown(value)}, no number", line=line, column=name)
            column = TextColumn(name, limits.classes, "choose another target")
        elif options.categorical == "drop":
            del self.columns[name]
            self.notes.append(f"the text column {name!r} was left out")
            return None
        elif options.categorical == "error":
            message = f"{shown(value)} is not a number; drop the column, or code it with categorical=one_hot"
            raise CsvInvalid(message, line=line, column=name)
        else:
            column = TextColumn(name, limits.levels, "drop the column, or correct its values if it should hold numbers")
        self.columns[name] = column
        return column

    def _targets(self) -> tuple[NDArray[Any], Task, tuple[str, ...]]:
        column = self.columns.pop(self.target)
        if isinstance(column, TextColumn):
            classes, y = column.coded()
            return self._classified(y, classes)
        assert isinstance(column, NumberColumn)
        numbers = column.numbers()
        levels, codes = np.unique(numbers, return_inverse=True)
        task = self.options.task
        if task is None:
            few = 2 <= len(levels) <= min(MOST_INFERRED_CLASSES, len(numbers) // 2)
            whole = bool(np.all(levels == np.round(levels)))
            task = "classification" if few and whole else "regression"
            if task == "classification":
                self.notes.append(
                    f"the target {self.target!r} holds {len(levels)} different whole numbers and was taken as classes; "
                    f"task=regression says otherwise"
                )
        if task == "regression":
            return numbers, task, ()
        return self._classified(codes.astype(np.int64), tuple(f"{level:.12g}" for level in levels))

    def _classified(self, y: NDArray[np.int64], classes: tuple[str, ...]) -> tuple[NDArray[Any], Task, tuple[str, ...]]:
        if not 2 <= len(classes) <= self.limits.classes:
            message = f"{len(classes)} classes; between 2 and {self.limits.classes} are legal"
            raise CsvInvalid(message, column=self.target)
        return y, "classification", classes

    def _inputs(self) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        features: list[str] = []
        parts: list[tuple[Column, NDArray[np.int64] | None]] = []
        for name, column in self.columns.items():
            if isinstance(column, TextColumn):
                levels, codes = column.coded()
                features.extend(f"{name}={level}" for level in levels)
                parts.append((column, codes))
                self.notes.append(f"the text column {name!r} was coded as {len(levels)} columns of 0 and 1")
            elif column is not None:
                features.append(name)
                parts.append((column, None))
        if not features:
            raise CsvInvalid("no column is left to predict the target from")
        if self.kept * len(features) > self.limits.values:
            raise CsvInvalid(f"{self.kept} rows of {len(features)} columns are more than {self.limits.values} values")
        x = np.zeros((self.kept, len(features)))
        at = 0
        for column, codes in parts:
            if isinstance(column, NumberColumn):
                x[:, at] = column.numbers()
                at += 1
            elif codes is not None:
                x[np.arange(self.kept), at + codes] = 1.0
                at += int(codes.max()) + 1
        return x, tuple(features)


def _listed(names: list[str]) -> str:
    return ", ".join(map(shown, names[:20])) + (", …" if len(names) > 20 else "")
