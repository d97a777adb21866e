"""Columns of a CSV file while it is being read: numbers, or text kept as codes of its levels."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.errors import DatasetInvalid

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL"})
"""Spellings of a missing value, after blanks around them are removed."""
LARGEST = 3e38
"""Numbers are stored as float32 in the end, so larger ones are refused."""
SHOWN = 60


class CsvInvalid(DatasetInvalid):
    """A CSV file breaks a rule.

    Attributes:
        line: physical line of the file, from 1; None where the problem has no single line.
        column: the column's name, or None.
    """

    def __init__(self, message: str, *, line: int | None = None, column: str | None = None) -> None:
        place = [f"line {line}"] if line is not None else []
        place += [f"column {column!r}"] if column is not None else []
        super().__init__(f"{', '.join(place)}: {message}" if place else message)
        self.line = line
        self.column = column


def shown(value: str) -> str:
    """A value as a message repeats it."""
    return repr(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")


def number(text: str) -> float | None:
    """The number a text spells, or None; infinities are numbers here, NaN and Python's underscores are not."""
    if "_" in text or not text.isascii():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


class NumberColumn:
    """A column of numbers, read chunk by chunk."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._chunks: list[NDArray[np.float64]] = []

    def read(self, values: Sequence[str], lines: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return a chunk's numbers, and where they are missing.

        Raises:
            CsvInvalid: a value that is no finite number of usual size.
        """
        joined = "".join(values)
        if joined.isascii() and "_" not in joined:
            try:
                numbers = np.fromiter(map(float, values), np.float64, len(values))
            except ValueError:
                pass
            else:
                if np.all(np.abs(numbers) < LARGEST):
                    return numbers, np.zeros(len(values), bool)
        return self._one_by_one(values, lines)

    def _one_by_one(self, values: Sequence[str], lines: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        numbers, missing = np.zeros(len(values)), np.zeros(len(values), bool)
        for i, value in enumerate(values):
            text = value.strip()
            if text in MISSING:
                missing[i] = True
                continue
            parsed = number(text)
            if parsed is None:
                hint = (
                    f"the column starts with numbers, and {shown(value)} is none; name it in text_columns if it is text"
                )
                raise CsvInvalid(hint, line=lines[i], column=self.name)
            if not abs(parsed) < LARGEST:
                raise CsvInvalid(
                    f"{shown(value)} is not between -{LARGEST:g} and {LARGEST:g}", line=lines[i], column=self.name
                )
            numbers[i] = parsed
        return numbers, missing

    def keep(self, numbers: NDArray[np.float64]) -> None:
        """Add a chunk's numbers, less the dropped rows."""
        self._chunks.append(numbers)

    def numbers(self) -> NDArray[np.float64]:
        """All numbers kept."""
        return np.concatenate(self._chunks)


class TextColumn:
    """A column of text with few different values (levels), read chunk by chunk as level codes."""

    def __init__(self, name: str, most_levels: int, way_out: str) -> None:
        self.name = name
        self._most = most_levels
        self._way_out = way_out
        self._levels: dict[str, int] = {}
        self._chunks: list[NDArray[np.int32]] = []

    def read(self, values: Sequence[str], lines: Sequence[int]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return a chunk's codes, and where the value is missing (code -1).

        Raises:
            CsvInvalid: one level more than allowed.
        """
        texts = [value.strip() for value in values]
        for text in dict.fromkeys(texts):
            if text in MISSING or text in self._levels:
                continue
            if len(self._levels) == self._most:
                raise CsvInvalid(
                    f"with {shown(text)} the column holds {self._most + 1} different texts; at most {self._most} are "
                    f"allowed: {self._way_out}",
                    line=lines[texts.index(text)],
                    column=self.name,
                )
            self._levels[text] = len(self._levels)
        codes = np.fromiter((self._levels.get(text, -1) for text in texts), np.int32, len(texts))
        return codes, codes < 0

    def keep(self, codes: NDArray[np.int32]) -> None:
        """Add a chunk's codes, less the dropped rows."""
        self._chunks.append(codes)

    def coded(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The levels that kept rows have, sorted as text, and each kept row's place among them."""
        codes = np.concatenate(self._chunks)
        names = list(self._levels)
        used = sorted(np.unique(codes).tolist(), key=names.__getitem__)
        place = np.zeros(len(names), np.int64)
        place[used] = np.arange(len(used))
        return tuple(names[code] for code in used), place[codes]


Column = NumberColumn | TextColumn
Chunk = tuple[NDArray[Any], NDArray[np.bool_]]
