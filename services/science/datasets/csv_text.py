"""From the bytes of a CSV file to its records: encoding, delimiter and quote are found unless they are given."""

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, get_args

from services.science.datasets.csv_faults import CsvFault, CsvInvalid
from services.science.datasets.csv_options import CsvOptions, Delimiter, Encoding, Quote
from services.science.datasets.csv_values import is_missing, reading_of

BLOCK = 2**20
SAMPLE_LINES = 1_000
SAMPLE_CHARACTERS = 2**20
"""As much of the start is looked at to find the delimiter, the quote and the header."""
LONGEST_LINE = 2**24
MARKS: tuple[tuple[bytes, Encoding, str], ...] = (
    (codecs.BOM_UTF8, "utf-8", "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16"),
)
CODECS: dict[Encoding, str] = {
    "utf-8": "utf-8-sig",
    "utf-16": "utf-16",
    "latin-1": "latin-1",
    "windows-1252": "cp1252",
}
NO_TEXT: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "an Excel workbook or another zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF"),
)
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Dialect:
    """How the bytes are cut into values.

    Attributes:
        codec: Python's name of the encoding, with the byte order where no mark tells it.
        guessed: sentences about what was not given and is not the usual.
    """

    encoding: Encoding
    codec: str
    delimiter: Delimiter
    quote: Quote
    guessed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """Values of one record, and the physical line it starts on."""

    line: int
    values: list[str]


def find_dialect(stream: BinaryIO, options: CsvOptions, most_bytes: int) -> tuple[Dialect, list[Record]]:
    """Look through all bytes for the encoding, and at the first lines for delimiter and quote.

    Returns:
        The dialect, and the first records read with it.

    Raises:
        CsvInvalid: too large, not a text, or not readable in its encoding.
    """
    encoding, codec = _encoding(stream, options.encoding, most_bytes)
    stream.seek(0)
    lines = list(itertools.islice(_bounded(text_lines(stream, codec)), SAMPLE_LINES))
    delimiter, quote = _marks(lines, options)
    guessed: list[str] = []
    if options.encoding is None and encoding != "utf-8":
        guessed.append(f"the text was read as {encoding}, because it is not UTF-8")
    if options.delimiter is None and delimiter != ",":
        guessed.append(f"the values were taken as divided by {_name(delimiter)}")
    if options.quote is None and quote != '"':
        guessed.append(f"values were taken as quoted by {quote}")
    dialect = Dialect(encoding, codec, delimiter, quote, tuple(guessed))
    return dialect, list(_lenient(lines, delimiter, quote))


def records(stream: BinaryIO, dialect: Dialect) -> Iterator[Record]:
    """Read every record that is not blank.

    Raises:
        CsvInvalid: quotes that do not fit, or a value or line that is too long.
    """
    stream.seek(0)
    reader = _reader(text_lines(stream, dialect.codec), dialect.delimiter, dialect.quote)
    start = 1
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            way_out = "" if "field limit" in str(error) else "; quote=none reads quotes as letters"
            raise CsvInvalid(CsvFault(f"not readable as CSV: {error}{way_out}", line=start)) from error
        if row:
            yield Record(start, row)
        start = reader.line_num + 1


def text_lines(stream: BinaryIO, codec: str) -> Iterator[str]:
    """The lines of a text with their ends as they are.

    Raises:
        CsvInvalid: a line that is too long, or damaged text.
    """
    text = io.TextIOWrapper(stream, codec, newline="")
    try:
        for position in itertools.count(1):
            line = text.readline(LONGEST_LINE)
            if not line:
                return
            if len(line) == LONGEST_LINE:
                raise CsvInvalid(CsvFault(f"the line is longer than {LONGEST_LINE} characters", line=position))
            yield line
    finally:
        if not stream.closed:
            text.detach()


def _encoding(stream: BinaryIO, wish: Encoding | None, most_bytes: int) -> tuple[Encoding, str]:
    stream.seek(0)
    start = stream.read(4096)
    for magic, what in NO_TEXT:
        if start.startswith(magic):
            raise CsvInvalid(CsvFault(f"this is {what}, no CSV file: save the table as CSV"))
    usual: Encoding = wish if wish is not None else "utf-8"
    encoded: tuple[Encoding, str] = (usual, CODECS[usual])
    marked: tuple[Encoding, str] | None = next(
        ((encoding, codec) for mark, encoding, codec in MARKS if start.startswith(mark)), None
    )
    if wish in (None, "utf-16"):
        encoded = marked or _unmarked_utf16(start) or encoded
    fault = _undecodable(stream, encoded[1], most_bytes)
    if fault is None:
        return encoded
    if wish is not None or encoded[0] != "utf-8" or marked:
        raise CsvInvalid(CsvFault(fault[1], line=fault[0]))
    # Not UTF-8: one byte for each letter. The bytes 0x80 to 0x9f are letters only in the Windows form.
    encoding: Encoding = "windows-1252" if _holds(stream, re.compile(rb"[\x80-\x9f]")) else "latin-1"
    if _holds(stream, CONTROL):
        raise CsvInvalid(CsvFault(f"{fault[1]}, and it holds control characters: is it a text?", line=fault[0]))
    if encoding == "windows-1252" and (fault := _undecodable(stream, "cp1252", most_bytes)):
        raise CsvInvalid(CsvFault(fault[1], line=fault[0]))
    return encoding, CODECS[encoding]


def _unmarked_utf16(start: bytes) -> tuple[Encoding, str] | None:
    """UTF-16 of mostly Latin letters without a mark: every other byte is zero."""
    half = len(start) // 2
    if half and start[1::2].count(0) > 0.7 * half and start[::2].count(0) < 0.1 * half:
        return "utf-16", "utf-16-le"
    if half and start[::2].count(0) > 0.7 * half and start[1::2].count(0) < 0.1 * half:
        return "utf-16", "utf-16-be"
    return None


def _undecodable(stream: BinaryIO, codec: str, most_bytes: int) -> tuple[int, str] | None:
    """The line of the first byte that is not in this encoding, and a sentence; None if all are."""
    stream.seek(0)
    decoder = codecs.getincrementaldecoder(codec)()
    total, line, column = 0, 1, 0
    while True:
        block = stream.read(BLOCK)
        total += len(block)
        if total > most_bytes:
            line += block[: len(block) - (total - most_bytes)].count(b"\n")
            raise CsvInvalid(CsvFault(f"the file is larger than {most_bytes} bytes", line=line))
        try:
            decoder.decode(block, not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start]
            at = error.start - before.rfind(b"\n") + (0 if b"\n" in before else column)
            name = next((name for name, other in CODECS.items() if other == codec), "utf-16")
            way_out = "save the file as UTF-8, or say its encoding"
            return line + before.count(b"\n"), f"byte {at} of the line is not {name.upper()}; {way_out}"
        except UnicodeError:  # the codec of UTF-16 alone: it needs a mark where the order of the bytes cannot be seen
            return 1, "the file does not begin as UTF-16 does; save the file as UTF-8, or say its encoding"
        if not block:
            return None
        line += block.count(b"\n")
        column = len(block) - block.rfind(b"\n") - 1 + (0 if b"\n" in block else column)


def _holds(stream: BinaryIO, pattern: re.Pattern[bytes]) -> bool:
    stream.seek(0)
    return any(pattern.search(block) for block in iter(lambda: stream.read(BLOCK), b""))


def _bounded(lines: Iterator[str]) -> Iterator[str]:
    total = 0
    for line in lines:
        yield line
        total += len(line)
        if total > SAMPLE_CHARACTERS:
            return


def _marks(lines: list[str], options: CsvOptions) -> tuple[Delimiter, Quote]:
    """Delimiter and quote: the pair that cuts most lines into equally many values, more than one."""
    quotes: list[Quote] = [options.quote] if options.quote else ['"']
    if options.quote is None and any("'" in line for line in lines) and not any('"' in line for line in lines):
        quotes.append("'")
    delimiters: Sequence[Delimiter] = [options.delimiter] if options.delimiter else get_args(Delimiter)
    best: tuple[tuple[float, ...], Delimiter, Quote] | None = None
    for quote, delimiter in itertools.product(quotes, delimiters):
        score = _score(lines, delimiter, quote)
        # At equal merit the first stays: a comma before others, the double quote before the single one.
        if best is None or score > best[0]:
            best = score, delimiter, quote
    assert best is not None
    return best[1], best[2]


def _score(lines: list[str], delimiter: Delimiter, quote: Quote) -> tuple[float, ...]:
    """How well a pair of marks reads the first lines: whether it divides, how evenly, and into how many numbers."""
    sample = list(_lenient(lines, delimiter, quote))
    rows = [record.values for record in sample]
    widths = Counter(map(len, rows))
    if not rows or (usual := widths.most_common(1)[0])[0] < 2:
        return (0.0, 0.0, 0.0)
    # Where quotes do not fit, the lines behind them were not read.
    even = usual[1] / len(rows) * min(1.0, (sample[-1].line + 1) / len(lines))
    # Blanks also stand between words: they divide values only where they divide every line alike.
    if delimiter == " " and even < 1.0:
        return (0.0, 0.0, 0.0)
    texts = [value for row in rows[:200] for value in row[:50]]
    clean = sum(1 for value in texts if is_missing(value) or reading_of(value)) / max(1, len(texts))
    quoted = quote == "'" and any(re.search(rf"(^|{re.escape(delimiter)})\s*'", line) for line in lines)
    if quote == "'" and not quoted:
        return (0.0, 0.0, 0.0)
    still_quoted = sum(1 for value in texts if re.fullmatch(r"\s*'.*'\s*", value)) / max(1, len(texts))
    return (1.0 if delimiter != " " else 0.5, round(even, 2), -still_quoted, round(clean, 6))


def _lenient(lines: Sequence[str], delimiter: Delimiter, quote: Quote) -> Iterator[Record]:
    """The records of a sample; it ends where they cannot be read, or with the last whole one."""
    reader = _reader(lines, delimiter, quote)
    start = 1
    while True:
        try:
            row = next(reader)
        except (StopIteration, csv.Error):
            return
        if row:
            yield Record(start, row)
        start = reader.line_num + 1


def _reader(lines: Iterable[str], delimiter: Delimiter, quote: Quote) -> Any:
    """The standard library's reader; blanks after a delimiter belong to no value, and a quote after them is one."""
    quoting = csv.QUOTE_NONE if quote == "none" else csv.QUOTE_MINIMAL
    mark = None if quote == "none" else quote
    return csv.reader(lines, delimiter=delimiter, quotechar=mark, quoting=quoting, skipinitialspace=True, strict=True)


def _name(delimiter: Delimiter) -> str:
    return {";": "semicolons", "\t": "tabs", "|": "'|'", " ": "blanks"}.get(delimiter, "commas")
