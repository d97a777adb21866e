"""What the command prints: text as it is, never as markup; tables for a terminal, plain lines for a pipe."""

import json
import logging
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDE = 120
"""Columns of a terminal from which tables have room for what only explains."""

DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
"""What turns the direction of the text behind it."""


class PlainConsole(Console):
    """A console that takes text for text: no markup, no emoji codes, no guesses at what is a number."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to whoever ends the command: rich would leave with code 1."""
        raise BrokenPipeError


console = PlainConsole()
errors = PlainConsole(stderr=True)


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: its head in a terminal.
        whole: never folded, such as an id.
        right: set to the right, such as a number.
        explains: left out of a narrow terminal.
    """

    name: str
    whole: bool = False
    right: bool = False
    explains: bool = False


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A table in a terminal; elsewhere a line for each row, its values between tabs, without a head."""
    lines = [["" if value is None else one_line(value) for value in row] for row in rows]
    if not console.is_terminal:
        for line in lines:
            print("\t".join(line))
        return
    console.print(table_of(columns, lines, title=title, room=console.width))


def table_of(
    columns: Sequence[Column], lines: Iterable[Sequence[str]], *, title: str | None = None, room: int = WIDE
) -> Table:
    """The table for a terminal of that many columns."""
    places = [place for place, column in enumerate(columns) if room >= WIDE or not column.explains]
    table = Table(box=box.SIMPLE_HEAD, title=None if title is None else plain(title), pad_edge=False)
    for place in places:
        column = columns[place]
        table.add_column(
            column.name,
            justify="right" if column.right else "left",
            no_wrap=column.whole,
            overflow="fold",
        )
    for line in lines:
        table.add_row(*(Text(line[place], overflow="fold") for place in places))
    return table


def show_json(answer: Any) -> None:
    """The whole answer as JSON."""
    if console.is_terminal:
        console.print_json(data=answer)
    else:
        print(json.dumps(answer, indent=2, ensure_ascii=False))


def say(text: str, *, style: str = "") -> None:
    """A line of the answer, unbroken."""
    console.print(Text(plain(text), style=style), soft_wrap=True)


def note(text: str, *, style: str = "") -> None:
    """A line beside the answer, on standard error."""
    errors.print(Text(plain(text), style=style), soft_wrap=True)


def plain(text: object) -> str:
    """The text with every character that would steer a terminal spelled out; line ends and tabs stay."""
    return "".join(
        _escaped(character) if character not in "\n\t" and _steers(character) else character for character in str(text)
    )


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in DIRECTIONS


def one_line(text: object) -> str:
    """The same on one line and without tabs: what stands between them is one value."""
    return plain(" ".join(str(text).splitlines()).replace("\t", " "))


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"


class NoteHandler(logging.Handler):
    """Lines of the client's log beside the answer, in the form of every other line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line."""
        note(self.format(record), style="yellow")
