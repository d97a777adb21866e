"""What the columns of a CSV file hold, by all their values: counted in one pass, before anything is decided."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.csv_faults import CsvFault, CsvInvalid
from services.science.datasets.csv_options import CsvLimits
from services.science.datasets.csv_text import Record
from services.science.datasets.csv_values import COMMA, EVERY, LARGEST, MISSING, NOTATIONS, PLAIN, reading_of

CHUNK_VALUES = 200_000
MOST_EXAMPLES = 3
MOST_SPELLINGS = 20
RAGGED_SHOWN = 3
LEADING_ZERO = re.compile(r"(?:^|\n)\s*0[0-9]")


@dataclass
class ColumnTally:
    """What one column holds.

    Attributes:
        most_levels: so many different texts are counted one by one.
        forced: every value is text, whatever it looks like.
        notations: mask of the notations in which every number of the column can be read.
        fractions: a number that is written with a point.
        dates_orders: mask of the orders of day and month in which every date can be read.
        counts_up: every number so far is one more than the number before.
    """

    most_levels: int
    missing_spellings: frozenset[str] = MISSING
    forced: bool = False
    missing: int = 0
    numbers: int = 0
    dates: int = 0
    texts: int = 0
    too_large: int = 0
    notations: int = EVERY
    fractions: bool = False
    leading_zeros: bool = False
    date_orders: int = 7
    counts_up: bool = True
    affixes: Counter[str] = field(default_factory=Counter[str])
    levels: dict[str, int] = field(default_factory=dict[str, int])
    more_levels: bool = False
    spellings: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[tuple[int, str]]] = field(default_factory=dict[str, list[tuple[int, str]]])
    _next: float | None = None

    @property
    def values(self) -> int:
        """Values that are not missing."""
        return self.numbers + self.dates + self.texts

    @property
    def all_differ(self) -> bool:
        """Whether no text occurs twice, as far as texts are counted one by one."""
        return self.texts > 1 and all(count == 1 for count in self.levels.values())

    def take(self, values: Sequence[str], lines: Sequence[int]) -> NDArray[np.bool_] | None:
        """Count a chunk; return where values are missing, or None if none is."""
        if self._take_numbers(values, lines):
            return None
        texts = [value.strip() for value in values]
        where = np.fromiter((text in self.missing_spellings for text in texts), np.bool_, len(texts))
        if not where.any():
            self._take_texts(texts, lines)
            return None
        self.counts_up = False
        self._take_missing(list(itertools.compress(texts, where)), list(itertools.compress(lines, where)))
        there = ~where
        texts, places = list(itertools.compress(texts, there)), list(itertools.compress(lines, there))
        if texts and not self._take_numbers(texts, places):
            self._take_texts(texts, places)
        return where

    def _take_numbers(self, values: Sequence[str], lines: Sequence[int]) -> bool:
        """The quick ways, for a chunk that holds nothing but numbers of one kind."""
        return not self.forced and (self._take_plain(values, lines) or self._take_decimal_comma(values, lines))

    def _take_missing(self, texts: list[str], lines: Sequence[int]) -> None:
        self.missing += len(texts)
        self._example("missing", texts[0], lines[0])
        for text, count in Counter(texts).items():
            if len(self.spellings) < MOST_SPELLINGS or text in self.spellings:
                self.spellings[text] += count

    def _take_texts(self, texts: list[str], lines: Sequence[int]) -> None:
        self.counts_up = self.counts_up and self._one_more(texts)
        for text, count in Counter(texts).items():
            self._take_text(text, count, texts, lines)

    def _take_plain(self, values: Sequence[str], lines: Sequence[int]) -> bool:
        """The quick way for a chunk of plain numbers only."""
        joined = "\n".join(values)
        if not joined.isascii() or "_" in joined or self._some_is_spelled_missing(values):
            return False
        try:
            numbers = np.fromiter(map(float, values), np.float64, len(values))
        except ValueError:
            return False
        if not np.all(np.abs(numbers) < LARGEST):
            return False
        self.numbers += len(values)
        self._example("number", values[0].strip(), lines[0])
        self.affixes[""] += len(values)
        self.leading_zeros = self.leading_zeros or LEADING_ZERO.search(joined) is not None
        if "." in joined:
            self.fractions = True
            # Most decimal fractions have no three digits behind the point: the first of them settles it.
            for value in values:
                if self.notations & COMMA == 0:
                    break
                reading = reading_of(value)
                self.notations &= reading.notations if reading else PLAIN
        if self.counts_up:
            start = float(numbers[0]) if self._next is None else self._next
            self.counts_up = bool(np.array_equal(numbers, start + np.arange(len(numbers))))
            self._next = start + len(numbers)
        return True

    def _take_decimal_comma(self, values: Sequence[str], lines: Sequence[int]) -> bool:
        """The quick way for more of a column that is known to have decimal commas."""
        if not self.numbers or self.notations & ~COMMA or self._some_is_spelled_missing(values):
            return False
        joined = "\n".join(values)
        if not joined.isascii() or "_" in joined or "." in joined:
            return False
        try:
            numbers = np.fromiter(map(float, joined.replace(",", ".").split("\n")), np.float64)
        except ValueError:
            return False
        if len(numbers) != len(values) or not np.all(np.abs(numbers) < LARGEST):
            return False
        self.numbers += len(values)
        self.affixes[""] += len(values)
        self.counts_up = False
        self._example("number", values[0].strip(), lines[0])
        return True

    def _some_is_spelled_missing(self, values: Sequence[str]) -> bool:
        """Whether a value that reads as a number was given as a spelling of a missing one."""
        if len(self.missing_spellings) == len(MISSING):
            return False
        return any(value.strip() in self.missing_spellings for value in values)

    def _take_text(self, text: str, count: int, texts: list[str], lines: Sequence[int]) -> None:
        if self.forced or (reading := reading_of(text)) is None:
            self.texts += count
            self._level(text, count)
            kind = "text"
        elif reading.notations:
            self.numbers += count
            self.notations &= reading.notations
            self.fractions = self.fractions or "." in text
            self.affixes[reading.affix] += count
            self.too_large += 0 if reading.finite else count
            plain = reading.notations & PLAIN and not reading.affix
            kind = "number" if reading.finite and plain else "notation" if reading.finite else "too large"
            self.leading_zeros = self.leading_zeros or LEADING_ZERO.match(text) is not None
        else:
            self.dates += count
            self.date_orders &= reading.dates
            kind = "date"
        if len(self.examples.get(kind, ())) < MOST_EXAMPLES:
            self._example(kind, text, lines[texts.index(text)])

    def _level(self, text: str, count: int) -> None:
        if text in self.levels:
            self.levels[text] += count
        elif len(self.levels) < self.most_levels:
            self.levels[text] = count
        else:
            self.more_levels = True

    def _one_more(self, texts: list[str]) -> bool:
        try:
            numbers = np.fromiter(map(float, texts), np.float64, len(texts))
        except ValueError:
            return False
        start = float(numbers[0]) if self._next is None else self._next
        self._next = start + len(numbers)
        return bool(np.array_equal(numbers, start + np.arange(len(numbers))))

    def _example(self, kind: str, text: str, line: int) -> None:
        examples = self.examples.setdefault(kind, [])
        if len(examples) < MOST_EXAMPLES and all(text != example for _, example in examples):
            examples.append((line, text))

    def readable(self) -> tuple[int, ...]:
        """Places of the notations in which every number can be read."""
        return tuple(place for place, notation in enumerate(NOTATIONS) if notation.bit & self.notations)


@dataclass
class Survey:
    """All rows, counted.

    Attributes:
        tallies: by the column's place; only of columns that are used.
        incomplete: how many rows miss 0, 1, 2, … of the used values.
        ragged: lines with too few or too many values, and how many they have.
    """

    width: int
    tallies: dict[int, ColumnTally]
    rows: int = 0
    incomplete: Counter[int] = field(default_factory=Counter[int])
    ragged: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    ragged_rows: int = 0
    trimmed: int = 0
    """Rows with empty values behind the last column."""

    def take(self, rows: Sequence[list[str]], lines: Sequence[int]) -> None:
        """Count a chunk of rows that are as wide as the table."""
        missing = np.zeros(len(rows), np.int64)
        for place, values in enumerate(zip(*rows, strict=True)):
            tally = self.tallies.get(place)
            if tally is not None and (where := tally.take(values, lines)) is not None:
                missing += where
        self.rows += len(rows)
        counts = np.bincount(missing)
        self.incomplete.update({place: int(count) for place, count in enumerate(counts) if count})

    def complete_rows(self, empty_columns: int) -> int:
        """Rows in which nothing is missing but the values of columns that hold none at all."""
        return self.incomplete[empty_columns]

    def faults(self) -> list[CsvFault]:
        """Lines that are not as wide as the table."""
        if not self.ragged_rows:
            return []
        line, count = self.ragged[0]
        others = ", ".join(f"line {line} ({count})" for line, count in self.ragged[1:])
        more = f"; so in {self.ragged_rows} lines, as {others}" if others else ""
        return [CsvFault(f"{count} values instead of {self.width}{more}", line=line)]


def chunks(
    table_rows: Iterable[Record], width: int, limits: CsvLimits, survey: Survey | None = None
) -> Iterator[tuple[list[list[str]], list[int]]]:
    """Rows in chunks of bounded size; rows of another width are left out, and told to the survey.

    Raises:
        CsvInvalid: more rows than allowed.
    """
    most = max(1, CHUNK_VALUES // max(1, width))
    rows: list[list[str]] = []
    lines: list[int] = []
    for count, record in enumerate(table_rows, start=1):
        row = record.values
        if count > limits.rows:
            raise CsvInvalid(CsvFault(f"more than {limits.rows} rows", line=record.line))
        if len(row) != width:
            if len(row) > width and not any(value.strip() for value in row[width:]):
                row = row[:width]
                if survey is not None:
                    survey.trimmed += 1
            else:
                if survey is not None:
                    survey.ragged_rows += 1
                    if len(survey.ragged) < RAGGED_SHOWN:
                        survey.ragged.append((record.line, len(row)))
                continue
        rows.append(row)
        lines.append(record.line)
        if len(rows) == most:
            yield rows, lines
            rows, lines = [], []
    if rows:
        yield rows, lines
