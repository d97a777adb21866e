"""What every figure is: a family member that computes its numbers first and draws them second."""

import csv
import io
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema

from services.science.base import Member
from services.science.figures.study import Study
from services.science.results import LayerWish

Value = str | int | float | bool | None
Record = Mapping[str, Value]
Part = Literal["curves", "comparison", "diagnostics", "energy"]
"""What a figure needs of a study besides its arms."""


class NoFigureDataError(Exception):
    """The study holds nothing that this figure could show (yet); the message says what is missing."""


@dataclass(frozen=True)
class FigureData:
    """The numbers of one figure, before anything is drawn.

    Attributes:
        records: what is plotted and downloaded: one mapping per mark; None where there is no number, never NaN.
        marks: second table of the few figures that draw two kinds of thing (the crosses of diverged trials).
        subtitle: sentences under the title: what was run, n and interval, what was left out.
        description: the same in one sentence, for readers who cannot see the picture.
        meta: n, interval and settings, kept in the figure's `usermeta`.
    """

    kind: str
    title: str
    subtitle: tuple[str, ...]
    description: str
    records: tuple[Record, ...]
    marks: tuple[Record, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> list[dict[str, Value]]:
        """The records as plain dictionaries, for a Vega-Lite data source."""
        return [dict(record) for record in self.records]

    def csv(self) -> str:
        """The records as RFC 4180 text. A text cell that a spreadsheet would run as a formula is quoted with a '."""
        columns = list(dict.fromkeys(name for record in self.records for name in record))
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows([_cell(record.get(column)) for column in columns] for record in self.records)
        return out.getvalue()


class Figure(Member):
    """A kind of picture with its parameters. Subclasses are listed in `services.science.figures.FIGURES`."""

    title: ClassVar[str] = ""
    description: ClassVar[str] = ""
    parts: ClassVar[frozenset[Part]] = frozenset()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take numbers as text too: a figure's parameters are those of a query."""
        return handler(source)

    @abstractmethod
    def numbers(self, study: Study) -> FigureData:
        """Compute what is shown.

        Raises:
            NoFigureDataError: the study holds nothing to show.
        """
        raise NotImplementedError

    @abstractmethod
    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """Return the Vega-Lite object of these numbers, data inside."""
        raise NotImplementedError

    def metrics(self) -> tuple[str, ...]:
        """Metrics whose curves `numbers` reads."""
        return ()

    def layers(self) -> LayerWish | None:
        """What `numbers` reads of the layers; None for nothing."""
        return None


def finite(value: Any) -> float | None:
    """A float that JSON can hold: None for NaN and infinities."""
    number = float(value)
    return number if np.isfinite(number) else None


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``5 seeds``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def span(counts: Iterable[int], noun: str) -> str:
    """``5 seeds``, or ``3 to 5 seeds`` where the counts differ."""
    distinct = sorted(set(counts))
    return plural(distinct[0], noun) if len(distinct) == 1 else f"{distinct[0]} to {distinct[-1]} {noun}s"


def number_of(record: Record, name: str, absent: float | None = None) -> float:
    """The number that a record holds under this name; `absent`, if that is given, where it holds None.

    Raises:
        TypeError: there is no number.
    """
    value = record[name]
    if value is None and absent is not None:
        return absent
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is no number: {value!r}")
    return float(value)


def _cell(value: Value) -> Value:
    # A label comes from a user's spec; "=1+1" must stay text when the file is opened in a spreadsheet.
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value[:1] else value
