"""The names of the columns: from the first line, if it is unlike the others, else by their places."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.science.datasets.csv_faults import CsvFault, CsvInvalid, listed, shown
from services.science.datasets.csv_options import CsvLimits, CsvOptions
from services.science.datasets.csv_survey import ColumnTally
from services.science.datasets.csv_text import Record
from services.science.datasets.csv_values import MISSING, number, reading_of

LONGEST_NAME = 200


@dataclass(frozen=True)
class Header:
    """What the columns are called.

    Attributes:
        present: whether the first record names them.
        unnamed: places of columns whose name was made here.
        notes: what was guessed.
    """

    names: tuple[str, ...]
    present: bool
    unnamed: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()


def find_header(sample: Sequence[Record], options: CsvOptions, limits: CsvLimits) -> Header:
    """Decide whether the first record names the columns, and name them all.

    Raises:
        CsvInvalid: no records, too many columns, or names that cannot be used.
    """
    if not sample:
        raise CsvInvalid(CsvFault("the file is empty, or its first value never ends"))
    first, body = sample[0], [record.values for record in sample[1:]]
    width = _width(first.values, body)
    if width > limits.columns:
        message = f"{width} columns; at most {limits.columns} are allowed"
        raise CsvInvalid(CsvFault(message, line=first.line))
    if options.header is None:
        present = _names_columns(first.values, [row for row in body if len(row) == width], options)
    else:
        present = options.header
    if not present:
        names = tuple(f"column_{place}" for place in range(1, width + 1))
        notes = ("the first line is like the others and was read as data, header=true says otherwise",)
        return Header(names, False, notes=notes if options.header is None else ())
    return _named(_aligned(first.values, body, width), first.line)


def check_names(header: Header, options: CsvOptions) -> list[CsvFault]:
    """What the options ask of columns that are not there, or against each other."""
    names = header.names
    option_names = (("target", [options.target] if options.target is not None else []), ("drop", options.drop))
    faults = [
        CsvFault(f"{what} names {shown(name)}, which is none of the columns {listed(names)}")
        for what, columns in (*option_names, ("text_columns", options.text_columns))
        for name in columns
        if name not in names
    ]
    if options.target is not None and options.target in options.drop:
        faults.append(CsvFault(f"the target {shown(options.target)} cannot be dropped"))
    elif options.target is None and names[-1] in options.drop and len(names) - 1 not in header.unnamed:
        message = f"the target {shown(names[-1])} cannot be dropped: it is the last column; say another with target="
        faults.append(CsvFault(message))
    return faults


def _width(first: list[str], body: list[list[str]]) -> int:
    """Values in a row: as many as the first record has, or one more where every other has one more."""
    widths = {len(row) for row in body}
    return len(first) + 1 if widths == {len(first) + 1} else len(first)


def _aligned(first: list[str], body: list[list[str]], width: int) -> list[str]:
    """The first record with a blank for the one column that it does not name, as R and pandas write row names."""
    if len(first) == width:
        return first
    behind = all(not row[-1].strip() for row in body)
    return [*first, ""] if behind else ["", *first]


def _named(values: list[str], line: int) -> Header:
    names: list[str] = []
    faults: list[CsvFault] = []
    notes: list[str] = []
    unnamed = [place for place, name in enumerate(values) if not name.strip()]
    written = Counter(name.strip() for name in values)
    for place, value in enumerate(values):
        name = value.strip() or f"column_{place + 1}"
        if len(name) > LONGEST_NAME:
            message = f"the name of column {place + 1} is longer than {LONGEST_NAME} characters; shorten it"
            faults.append(CsvFault(f"{message}, or say header=false if it is a value", line=line))
        if not name.isprintable():
            message = f"the name of column {place + 1}, {shown(name)}, holds control characters"
            faults.append(CsvFault(message, line=line))
        if name in names or (place in unnamed and name in written):
            again = next(f"{name}_{count}" for count in range(2, len(values) + 2) if f"{name}_{count}" not in written)
            if place not in unnamed:
                notes.append(
                    f"columns {names.index(name) + 1} and {place + 1} are both named {shown(name)}: the "
                    f"second is called {shown(again)} here"
                )
            written[again] += 1
            name = again
        names.append(name)
    if faults:
        raise CsvInvalid(*faults)
    return Header(tuple(names), True, frozenset(unnamed), tuple(notes))


def _names_columns(first: list[str], body: list[list[str]], options: CsvOptions) -> bool:
    """Whether the first record is unlike the others: words above numbers, or words that no other row repeats."""
    cells = [cell.strip() for cell in first]
    named = {options.target, *options.drop, *options.text_columns} - {None}
    if any(name in cells for name in named):
        return True
    if not body:
        return any(cell not in MISSING and reading_of(cell) is None for cell in cells)
    words_above_numbers = repeated = new = 0
    numbers: list[int] = []
    for place, cell in enumerate(cells):
        if cell in MISSING:
            continue
        tally = ColumnTally(most_levels=len(body), missing_spellings=MISSING | set(options.missing_values))
        tally.take([row[place] for row in body], range(len(body)))
        is_number = reading_of(cell) is not None
        if tally.numbers + tally.dates > tally.texts:
            words_above_numbers += not is_number
            if is_number:
                numbers.append(place)
        elif tally.texts and not is_number:
            repeated += cell in tally.levels
            new += cell not in tally.levels and not tally.all_differ
    if words_above_numbers > 0 or not numbers:
        return words_above_numbers > 0 or repeated <= new
    return _counts(cells, numbers) and not _counts([cell.strip() for cell in body[0]], numbers)


def _counts(cells: list[str], places: list[int]) -> bool:
    """Whether numbers are names: they count up by one, or are years, as 0, 1, 2 or 2019, 2020 do."""
    values = [number(cells[place]) for place in places]
    whole = [int(value) for value in values if value is not None and abs(value) < 1e6 and value == round(value)]
    if len(whole) < len(values) or len(whole) < 2:
        return False
    up = all(later == earlier + 1 for earlier, later in itertools.pairwise(whole))
    years = all(1900 <= value <= 2100 for value in whole) and len(set(whole)) == len(whole)
    return (up and (whole[0] == 0 or len(whole) >= 3)) or years
