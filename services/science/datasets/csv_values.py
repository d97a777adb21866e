"""What the text of one value means: missing, a number in one of several notations, a date, or words."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.science.datasets.csv_options import Decimal, Thousands

# fmt: off
MISSING = frozenset({
    "", "?", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NaN", "nan",
    "NAN", "-NaN", "-nan", "null", "NULL", "Null", "None", "NONE", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
})
# fmt: on
"""Spellings of a missing value, after blanks around them are removed: those of pandas, '?', and other capitals."""
LARGEST = 3e38
"""Numbers are stored as float32 in the end, so larger ones are refused."""
EPOCH = date(1970, 1, 1).toordinal()
CURRENCIES = "$€£¥₹"
LONGEST_NUMBER = 60


@dataclass(frozen=True)
class Notation:
    """How digits are written.

    Attributes:
        bit: its place in a mask of notations.
    """

    decimal: Decimal
    thousands: Thousands | None
    bit: int

    @property
    def pattern(self) -> str:
        """A regular expression of a whole number or decimal fraction in this notation."""
        mark, group = re.escape(self.decimal), re.escape(self.thousands or "")
        grouped = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+(?:{mark}[0-9]*)?|" if self.thousands else ""
        return rf"[+-]?(?:{grouped}[0-9]+(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?"

    def told(self) -> str:
        """In words."""
        parts = ["a decimal comma"] if self.decimal == "," else []
        parts += [f"{self.thousands!r} between thousands"] if self.thousands else []
        return " and ".join(parts)


PAIRS: tuple[tuple[Decimal, Thousands | None], ...] = (
    (".", None),
    (",", None),
    (".", ","),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
    (".", "_"),
)
NOTATIONS = tuple(Notation(decimal, thousands, 1 << place) for place, (decimal, thousands) in enumerate(PAIRS))
PLAIN = NOTATIONS[0].bit
EVERY = sum(notation.bit for notation in NOTATIONS)
COMMA = sum(notation.bit for notation in NOTATIONS if notation.decimal == ",")
POINT = EVERY - COMMA
NUMERIC = re.compile(r"[-+]?[0-9.,][-+0-9.,' _eE]*")
"""Quick: what is not like this is a number in no notation."""
PATTERNS = tuple((notation.bit, re.compile(notation.pattern)) for notation in NOTATIONS)

ISO, DAY_FIRST, MONTH_FIRST = 1, 2, 4
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
YEAR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
"""Quick: what holds no four digits is no date."""
CLOCK = r"(?:[T ]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]+)?))?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
YEAR_FIRST = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})" + CLOCK)
YEAR_LAST = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})" + CLOCK)
MONTH_NAMED = re.compile(r"([0-9]{1,2})[- .]+([A-Za-z]{3})[a-z]*\.?[-, ]+([0-9]{4})" + CLOCK)
MONTH_NAMED_FIRST = re.compile(r"([A-Za-z]{3})[a-z]*\.? +([0-9]{1,2}),? +([0-9]{4})" + CLOCK)


@dataclass(frozen=True)
class Reading:
    """What a text is, if it is no mere text.

    Attributes:
        notations: mask of the notations in which it is a number; 0 for a date.
        affix: '%' or a currency that stands beside the digits, or ''.
        dates: mask of the orders of day and month in which it is a date.
        finite: False where the number is too large.
    """

    notations: int = 0
    affix: str = ""
    dates: int = 0
    finite: bool = True


def number(text: str) -> float | None:
    """The number a text spells, or None; infinities are numbers here, NaN and Python's underscores are not."""
    if "_" in text or not text.isascii():
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def is_missing(text: str) -> bool:
    """Whether a value is missing."""
    return text.strip() in MISSING


def reading_of(text: str) -> Reading | None:
    """What a value that is not missing means besides its words; None if it is only text."""
    text = text.strip()
    if len(text) <= LONGEST_NUMBER:
        return _reading_of_short(text)
    # What is longer is a plain number or none, and is not remembered: it may be very long.
    value = number(text)
    return None if value is None else Reading(PLAIN, finite=abs(value) < LARGEST)


@lru_cache(maxsize=4_096)
def _reading_of_short(text: str) -> Reading | None:
    value = number(text)
    if value is not None:
        notations = _notations(text) | PLAIN
        return Reading(notations, finite=abs(value) < LARGEST)
    if not any(map(str.isnumeric, text)):
        return None
    digits, affix = bare(text)
    if notations := _notations(digits):
        notation = next(item for item in NOTATIONS if item.bit & notations)
        return Reading(notations, affix, finite=abs(_value(digits, notation)) < LARGEST)
    if not YEAR.search(text):
        return None
    orders = sum(order for order in (ISO, DAY_FIRST, MONTH_FIRST) if days(text, order) is not None)
    return Reading(dates=orders) if orders else None


def bare(text: str) -> tuple[str, str]:
    """A number's digits in ASCII, and the percent sign or currency that stood beside them.

    Parentheses around a number make it negative, as bookkeepers write.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("\u2212", "-").replace("\u2019", "'").strip()
        digits = [unicodedata.decimal(letter, None) for letter in text]
        text = "".join(letter if value is None else str(value) for letter, value in zip(text, digits, strict=True))
    sign = ""
    if text.startswith("(") and text.endswith(")"):
        sign, text = "-", text[1:-1].strip()
    affix = ""
    if text.endswith("%"):
        affix, text = "%", text[:-1].rstrip()
    else:
        for currency in CURRENCIES:
            if currency in text:
                without = re.sub(
                    rf"^([+-]?)\s*{re.escape(currency)}\s*|\s*{re.escape(currency)}$", r"\1", text, count=1
                )
                affix, text = currency, without
                break
    return sign + text, affix


def numbers_of(values: Sequence[str], notation: Notation, missing: frozenset[str]) -> NDArray[np.float64]:
    """The numbers of values as `notation` writes them; NaN where the value is one of `missing` or no number."""
    parts: Sequence[str] = values
    if missing:
        parts = ["nan" if (text := value.strip()) in missing else text for value in values]
    if notation.bit != PLAIN:
        texts = "\n".join(parts)
        texts = texts.replace(notation.thousands or "\0", "").replace(notation.decimal, ".")
        parts = texts.split("\n")
    try:
        return np.fromiter(map(float, parts), np.float64, len(values))
    except ValueError:  # a percent sign, letters of another script, or a line end within a value
        pass
    return np.fromiter((_number_or_nan(value.strip(), notation, missing) for value in values), np.float64, len(values))


def _number_or_nan(text: str, notation: Notation, missing: frozenset[str]) -> float:
    if text in missing:
        return math.nan
    if notation.bit == PLAIN and (value := number(text)) is not None:
        return value
    digits, _ = bare(text)
    return _value(digits, notation) if _notations(digits) & notation.bit else math.nan


def days(text: str, order: int) -> float | None:
    """Days since 1970-01-01, with a fraction for the time of day; None where it is no date in this order."""
    text = text.strip()
    if match := YEAR_FIRST.fullmatch(text):
        year, _, month, day, *clock = match.groups()
        fits = order == ISO
    elif match := YEAR_LAST.fullmatch(text):
        first, _, second, year, *clock = match.groups()
        day, month = (first, second) if order == DAY_FIRST else (second, first)
        fits = order in (DAY_FIRST, MONTH_FIRST)
    elif match := MONTH_NAMED.fullmatch(text) or MONTH_NAMED_FIRST.fullmatch(text):
        first, second, year, *clock = match.groups()
        day, name = (first, second) if first.isdigit() else (second, first)
        month = str(MONTHS.index(name.lower()) + 1) if name.lower() in MONTHS else "0"
        fits = order == ISO
    else:
        return None
    if not fits:
        return None
    try:
        whole = date(int(year), int(month), int(day)).toordinal() - EPOCH
    except ValueError:
        return None
    return _with_clock(whole, clock)


def _with_clock(whole: int, clock: Sequence[str | None]) -> float | None:
    hours, minutes, seconds, zone = clock
    if hours is None:
        return float(whole)
    time = int(hours) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)
    if int(hours) > 24 or int(minutes or 0) > 59 or float(seconds or 0) >= 61:
        return None
    if zone and zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        time += offset if zone[0] == "-" else -offset
    return whole + time / 86_400


def _notations(digits: str) -> int:
    if not NUMERIC.fullmatch(digits):
        return 0
    return sum(bit for bit, pattern in PATTERNS if pattern.fullmatch(digits))


def _value(digits: str, notation: Notation) -> float:
    if notation.thousands:
        digits = digits.replace(notation.thousands, "")
    return float(digits.replace(notation.decimal, "."))
