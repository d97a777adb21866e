"""What is wrong with a CSV file: all faults, each with its line and column, and with a way out."""

from dataclasses import dataclass

from services.science.datasets.errors import DatasetInvalid

MOST_FAULTS = 20
"""Faults that an answer names; of the others it says how many there are."""
SHOWN = 60


@dataclass(frozen=True)
class CsvFault:
    """One thing wrong with a file.

    Attributes:
        message: what, and what to do about it.
        line: physical line of the file, from 1; None where the fault has no single line.
        column: the column's name, or None.
    """

    message: str
    line: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line is not None else []
        place += [f"column {self.column!r}"] if self.column is not None else []
        return f"{', '.join(place)}: {self.message}" if place else self.message


class CsvInvalid(DatasetInvalid):
    """A CSV file breaks rules.

    Attributes:
        faults: all that were found, in the order of the file; at most `MOST_FAULTS`, then how many more there are.
    """

    def __init__(self, *faults: CsvFault) -> None:
        more = len(faults) - MOST_FAULTS
        self.faults = faults[:MOST_FAULTS]
        if more > 0:
            self.faults += (CsvFault(f"and {more} more that are not listed"),)
        super().__init__("; ".join(map(str, self.faults)))

    @property
    def line(self) -> int | None:
        """Of the first fault."""
        return self.faults[0].line

    @property
    def column(self) -> str | None:
        """Of the first fault."""
        return self.faults[0].column


def shown(value: str) -> str:
    """A value as a message repeats it."""
    return repr(value if len(value) <= SHOWN else value[: SHOWN - 1] + "…")


def listed(values: list[str] | tuple[str, ...], most: int = 20) -> str:
    """Several values as a message repeats them."""
    return ", ".join(map(shown, values[:most])) + (", …" if len(values) > most else "")
