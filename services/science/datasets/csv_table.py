"""A user's CSV file as a table that can train: read as it is meant, told how, or refused with all that is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.base import Task
from services.science.datasets.csv_columns import ColumnPlan, ColumnReading, Decision, decide, unread
from services.science.datasets.csv_faults import CsvFault, CsvInvalid
from services.science.datasets.csv_header import Header, check_names, find_header
from services.science.datasets.csv_notes import bounded, costs_of_missing, target_notes, worth_knowing
from services.science.datasets.csv_options import CsvLimits, CsvOptions
from services.science.datasets.csv_survey import ColumnTally, Survey, chunks
from services.science.datasets.csv_text import Dialect, find_dialect, records
from services.science.datasets.csv_values import MISSING, days, numbers_of

MOST_INFERRED_CLASSES = 20
"""A target of so few different whole numbers is taken as classes unless the task is given."""
FILLED = ("mean", "median", "level")


@dataclass(frozen=True)
class CsvTable:
    """A table ready to train on.

    Attributes:
        x: float64 ``[n, d]``; numbers as they are, text as one 0/1 column for each level, in the file's column order.
        y: float64 ``[n]`` or int64 class numbers ``[n]``.
        features: names of x's columns; a level's is ``column=level``.
        classes: names of the classes in the order of their numbers; empty for regression.
        notes: what was found, decided or left out.
        columns: how every column of the file was read.
        options: how the file was read, with what was found in it.
    """

    x: NDArray[np.float64]
    y: NDArray[Any]
    features: tuple[str, ...]
    target: str
    task: Task
    classes: tuple[str, ...]
    dropped_rows: int
    notes: tuple[str, ...]
    columns: tuple[ColumnReading, ...]
    options: CsvOptions

    @property
    def outputs(self) -> int:
        """1, or the number of classes."""
        return len(self.classes) or 1


def parse_csv(stream: BinaryIO, options: CsvOptions | None = None, limits: CsvLimits | None = None) -> CsvTable:
    """Read a CSV file: once for what its columns hold, by all their values, and once for the values themselves.

    Args:
        stream: at any place; it is read from its start, several times.
        options: what is not given is found in the file.
        limits: how much is read.

    Raises:
        CsvInvalid: the file breaks rules or a limit; names all of them, with line and column.
    """
    options, limits = options or CsvOptions(), limits or CsvLimits()
    dialect, sample = find_dialect(stream, options, limits.bytes)
    header = find_header(sample, options, limits)
    faults = check_names(header, options)
    if faults:
        raise CsvInvalid(*faults)
    survey = _survey(stream, dialect, header, options, limits)
    decision = decide(survey, header, options, limits, dialect.delimiter)
    faults = [*survey.faults(), *decision.faults]
    if survey.rows < 2 and not survey.ragged_rows:
        faults = [CsvFault(f"the table has {survey.rows} rows; at least 2 are needed")]
    if faults:
        raise CsvInvalid(*faults)
    table = _Table(survey, decision, options, limits)
    for rows, lines in chunks(_body(stream, dialect, header), survey.width, limits):
        table.take(rows, lines)
    dialect_options = {"encoding": dialect.encoding, "delimiter": dialect.delimiter, "quote": dialect.quote}
    notes = [*dialect.guessed, *header.notes]
    if survey.trimmed:
        notes.append(f"{survey.trimmed} lines end in empty values behind the last column; they were left off")
    return table.finished(notes, header, options.model_copy(update={**dialect_options, "header": header.present}))


def _body(stream: BinaryIO, dialect: Dialect, header: Header) -> Any:
    body = records(stream, dialect)
    if header.present:
        next(body)
    return body


def _survey(stream: BinaryIO, dialect: Dialect, header: Header, options: CsvOptions, limits: CsvLimits) -> Survey:
    most = max(limits.levels, limits.classes) + 1
    spellings = MISSING | set(options.missing_values)
    tallies = {
        place: ColumnTally(most, spellings, forced=name in options.text_columns)
        for place, name in enumerate(header.names)
        if name not in options.drop
    }
    survey = Survey(len(header.names), tallies)
    for rows, lines in chunks(_body(stream, dialect, header), survey.width, limits, survey):
        survey.take(rows, lines)
    return survey


@dataclass
class _Table:
    """The values of a file while they are read."""

    survey: Survey
    decision: Decision
    options: CsvOptions
    limits: CsvLimits
    kept: int = 0
    dropped: int = 0
    lost: list[NDArray[Any]] = field(default_factory=list[NDArray[Any]])
    """Targets of dropped rows."""
    costs: dict[str, int] = field(default_factory=dict[str, int])
    """Rows in which a column's value was missing, by the column's name."""

    def __post_init__(self) -> None:
        assert self.decision.target is not None
        self.target = self.decision.target
        self.fills = self.options.missing in FILLED
        self.spelled = MISSING | set(self.options.missing_values)
        self.plans: list[tuple[ColumnPlan, int, dict[str, int]]] = []
        width = 0
        self.features: list[str] = []
        for column in self.decision.features():
            codes = {level: code for code, level in enumerate(column.levels)}
            names = [f"{column.name}={level}" for level in column.levels] if column.kind == "text" else [column.name]
            if self._marks_missing(column):
                names.append(self._name_of_missing(column))
            self.plans.append((column, width, codes))
            self.features += names
            width += len(names)
        rows = self.survey.rows
        if rows * width > self.limits.values and self._drops_nothing():
            raise CsvInvalid(CsvFault(f"{rows} rows of {width} columns are more than {self.limits.values} values"))
        # Pages of an array of zeros that are never written take no memory: rows that are dropped cost nothing here.
        self.x = np.zeros((min(rows, self.limits.values // width), width))
        self.y = np.zeros(len(self.x), np.int64 if self.target.kind == "text" else np.float64)
        self.classes = {level: code for code, level in enumerate(self.target.levels)}

    def _drops_nothing(self) -> bool:
        return self.survey.incomplete[0] == self.survey.rows or (self.fills and not self.target.tally.missing)

    def _marks_missing(self, column: ColumnPlan) -> bool:
        """Whether missing values of this column get a 0/1 column."""
        return self.fills and column.tally.missing > 0 and (column.kind == "text" or self.options.missing == "level")

    @staticmethod
    def _name_of_missing(column: ColumnPlan) -> str:
        name = "missing"
        while name in column.levels:
            name += "_"
        return f"{column.name}={name}"

    def take(self, rows: Sequence[list[str]], lines: Sequence[int]) -> None:
        """Add a chunk, less the rows that are dropped."""
        columns = list(zip(*rows, strict=True))
        y, whole = self._values(self.target, columns[self.target.place], self.classes)
        complete = whole.copy()
        if not whole.all():
            self._count_missing(self.target, len(rows) - int(whole.sum()))
        parts: list[tuple[ColumnPlan, int, NDArray[Any], NDArray[np.bool_]]] = []
        for column, at, codes in self.plans:
            values, there = self._values(column, columns[column.place], codes)
            if not there.all():
                self._count_missing(column, len(rows) - int(there.sum()))
                if not self.fills:
                    whole &= there
            parts.append((column, at, values, there))
        count = int(whole.sum())
        self.lost.append(y[complete & ~whole])
        self.dropped += len(rows) - count
        start, self.kept = self.kept, self.kept + count
        if self.kept > len(self.x):
            raise CsvInvalid(CsvFault(f"more than {self.limits.values} values", line=lines[-1]))
        block = self.x[start : self.kept]
        self.y[start : self.kept] = y[whole]
        places = np.arange(count)
        for column, at, read, present in parts:
            values, there = read[whole], present[whole]
            if column.kind == "text":
                block[places[there], at + values[there]] = 1.0
                if not there.all():
                    block[places[~there], at + len(column.levels)] = 1.0
            else:
                block[:, at] = values
                if self._marks_missing(column):
                    block[:, at + 1] = ~there

    def _count_missing(self, column: ColumnPlan, count: int) -> None:
        self.costs[column.name] = self.costs.get(column.name, 0) + count

    def _values(
        self, column: ColumnPlan, values: Sequence[str], codes: dict[str, int]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """A chunk of a column as numbers or codes of its levels, and where the values are not missing."""
        if column.kind == "text":
            levels = np.fromiter((codes.get(value.strip(), -1) for value in values), np.int64, len(values))
            return levels, levels >= 0
        missing = self.spelled if column.tally.missing else frozenset[str]()
        if column.kind == "date":
            read = [None if value.strip() in missing else days(value, column.date_order) for value in values]
            numbers = np.array([np.nan if value is None else value for value in read])
        else:
            numbers = numbers_of(values, column.notation, missing)
        return numbers, ~np.isnan(numbers)

    def finished(self, notes: list[str], header: Header, options: CsvOptions) -> CsvTable:
        """The table, and what is worth knowing of it."""
        notes = [*notes, *self.decision.notes]
        notes += costs_of_missing(self.costs, self.survey.rows, self.dropped, options.missing, self.target.name)
        if self.kept < 2:
            left = f"; {self.dropped} were dropped for missing values: {_counted(self.costs)}" if self.dropped else ""
            raise CsvInvalid(CsvFault(f"the table has {self.kept} rows{left}; at least 2 are needed"))
        x, y = self.x[: self.kept], self.y[: self.kept]
        if self.fills:
            notes += self._fill(x)
        y, task, classes = self._targets(y, notes)
        x, features = self._without_lost_levels(x, notes)
        notes += worth_knowing(x, y, features, self.plans, task, self.target.name)
        used = [column.told() for column in self.decision.columns]
        places = [place for place in range(len(header.names)) if place not in self.survey.tallies]
        columns = sorted([*used, *unread(header.names, places)], key=lambda column: column.place)
        return CsvTable(
            x, y, features, self.target.name, task, classes, self.dropped, bounded(notes), tuple(columns), options
        )

    def _fill(self, x: NDArray[np.float64]) -> list[str]:
        notes: list[str] = []
        for column, at, _ in self.plans:
            if not column.tally.missing or column.kind == "text":
                continue
            values = x[:, at]
            gaps = np.isnan(values)
            if gaps.all():
                message = "no row with a target holds a value of this column; drop it"
                raise CsvInvalid(CsvFault(message, column=column.name))
            fill = float(np.median(values[~gaps]) if self.options.missing == "median" else values[~gaps].mean())
            values[gaps] = fill
            name = "median" if self.options.missing == "median" else "mean"
            notes.append(f"{int(gaps.sum())} missing values of {column.name!r} became its {name}, {fill:.6g}")
        return notes

    def _targets(self, y: NDArray[Any], notes: list[str]) -> tuple[NDArray[Any], Task, tuple[str, ...]]:
        task = self.options.task
        lost = np.concatenate(self.lost) if self.lost else y[:0]
        if self.target.kind == "text":
            codes, places = np.unique(y, return_inverse=True)
            names = [self.target.levels[code] for code in codes.tolist()]
            gone = [self.target.levels[code] for code in sorted({*lost.tolist()} - {*codes.tolist()})]
            return self._classified(places, tuple(names), gone, notes)
        levels, places = np.unique(y, return_inverse=True)
        if task is None:
            few = 2 <= len(levels) <= min(MOST_INFERRED_CLASSES, len(y) // 2)
            task = "classification" if few and bool(np.all(levels == np.round(levels))) else "regression"
            if self.target.kind == "date":
                task = "regression"
            if task == "classification":
                notes.append(
                    f"the target {self.target.name!r} holds {len(levels)} different whole numbers and was taken as "
                    f"classes; task=regression says otherwise"
                )
        if task == "regression":
            return y, task, ()
        gone = [f"{level:.12g}" for level in sorted({*lost.tolist()} - {*levels.tolist()})]
        return self._classified(places, tuple(f"{level:.12g}" for level in levels), gone, notes)

    def _classified(
        self, y: NDArray[np.intp], classes: tuple[str, ...], gone: list[str], notes: list[str]
    ) -> tuple[NDArray[Any], Task, tuple[str, ...]]:
        if not 2 <= len(classes) <= self.limits.classes:
            message = f"{len(classes)} classes; between 2 and {self.limits.classes} are legal"
            raise CsvInvalid(CsvFault(message, column=self.target.name))
        notes += target_notes(y, classes, gone, self.target.name)
        return y.astype(np.int64), "classification", classes

    def _without_lost_levels(
        self, x: NDArray[np.float64], notes: list[str]
    ) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Leave out levels that only dropped rows had."""
        used = np.ones(len(self.features), bool)
        for column, at, _ in self.plans:
            if column.kind == "text":
                width = len(column.levels) + self._marks_missing(column)
                used[at : at + width] = x[:, at : at + width].any(axis=0)
                names = [name.partition("=")[2] for name in self.features[at : at + width]]
                count = int(used[at : at + width].sum())
                examples = ", ".join(names[:6]) + (", …" if count > 6 else "")
                notes.append(f"the text column {column.name!r} was coded as {count} columns of 0 and 1: {examples}")
        names = tuple(name for name, in_use in zip(self.features, used, strict=True) if in_use)
        return (x if used.all() else np.ascontiguousarray(x[:, used])), names


def _counted(costs: dict[str, int]) -> str:
    worst = sorted(costs.items(), key=lambda item: -item[1])
    named = ", ".join(f"{name!r} misses {count}" for name, count in worst[:5])
    more = f" and {len(worst) - 5} other columns some" if len(worst) > 5 else ""
    return f"{named}{more}; drop or missing=drop_column leaves such columns out"
