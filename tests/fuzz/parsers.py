"""Everything that reads what strangers write, each beside valid inputs, and the errors that may come out of it."""

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import orjson
import psutil
from numpy.random import Generator, Philox
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql, sqlite

from api.body_bounds import check_bounds
from api.pagination import decode, encode
from api.strict_json import doubled
from services.db.base import now
from services.diagnostics.filter import parse_where
from services.errors import InvalidInputError
from services.experiments.filter import parse_filter
from services.experiments.plan import Prepared, parse_spec
from services.science.datasets import csv_options
from services.science.datasets.csv_faults import CsvInvalid
from services.science.datasets.csv_options import CsvLimits, CsvOptions
from services.science.datasets.csv_table import parse_csv
from services.science.hypotheses.ast import HypothesisError
from services.science.hypotheses.grammar import parse
from services.science.presets import PRESETS
from services.settings import Settings
from tests.fuzz.mutations import changed, changed_value


@dataclass(frozen=True)
class Parser:
    """One reader of foreign input.

    Attributes:
        corpus: valid inputs, which the others are made from.
        tokens: what its grammar is made of.
        read: takes an input; raises one of `refusals`, or nothing.
        inside: whether `read` makes changes of its own inside of what it has decoded: fewer bytes are changed then.
    """

    name: str
    corpus: Sequence[bytes]
    tokens: Sequence[bytes]
    read: Callable[[bytes, Generator], object]
    refusals: tuple[type[Exception], ...]
    inside: bool = False


@dataclass(frozen=True)
class Tally:
    """What came of a run: `slowest` is processor time of one input, `grown` of the process over the second half."""

    inputs: int
    taken: int
    slowest: float
    slowest_input: bytes
    grown: int

    def __str__(self) -> str:
        refused = self.inputs - self.taken
        slow = f"slowest {self.slowest * 1e3:.0f} ms ({self.slowest_input[:60]!r})"
        return (
            f"{self.inputs} inputs, {self.taken} taken, {refused} refused, {slow}, grown {self.grown / 2**20:+.1f} MiB"
        )


class EscapedError(AssertionError):
    """An error that no caller expects came out, or an input took too long."""


def fuzz(parser: Parser, inputs: int, seed: int) -> Tally:
    """Read so many inputs.

    Raises:
        EscapedError: names the parser, the seed, the number of the input and the input.
    """
    process = psutil.Process()
    taken, slowest, slowest_input, before = 0, 0.0, b"", process.memory_info().rss
    for number in range(inputs):
        draw = Generator(Philox(key=[seed, number]))
        data = parser.corpus[int(draw.integers(len(parser.corpus)))]
        if number >= len(parser.corpus) and (not parser.inside or draw.random() < 0.2):
            data = changed(data, parser.tokens, parser.corpus, draw)
        if number == inputs // 2:
            before = process.memory_info().rss
        began = time.process_time()
        try:
            parser.read(data, draw)
            taken += 1
        except parser.refusals:
            pass
        except Exception as error:
            raise EscapedError(f"{parser.name}, seed {seed}, input {number}: {data!r}") from error
        if (seconds := time.process_time() - began) > slowest:
            slowest, slowest_input = seconds, data
    return Tally(inputs, taken, slowest, slowest_input, process.memory_info().rss - before)


def parsers() -> tuple[Parser, ...]:
    """All of them."""
    specs = [orjson.dumps(preset.spec) for preset in PRESETS.values()]
    json_tokens = (b"{", b"}", b"[", b"]", b":", b",", b'"', b"null", b"1e999", b"-", b"\\u0000", b'"kind":', b"\xff")
    sums = b"< <= > >= within of ( ) , + - * 1 0 0.5 1e9 -1 val_loss gap best epochs_to relu he_uniform @ : = and"
    logic = b"and or not in contains ( ) , = != < <= > >= ' '' \" 1 -1 1.5 state tag name trials layer epoch \\"
    return (
        Parser("spec", specs, json_tokens, _read_spec, (InvalidInputError, orjson.JSONDecodeError), inside=True),
        Parser("json", specs, json_tokens, _read_json, (InvalidInputError, orjson.JSONDecodeError)),
        Parser("csv", TABLES, CSV_TOKENS, _read_csv, (CsvInvalid, ValidationError)),
        Parser("hypothesis", _claims(), _spaced(sums), lambda data, _: parse(_text(data)), (HypothesisError,)),
        Parser("filter", FILTERS, _spaced(logic), _read_filter, (InvalidInputError,)),
        Parser("where", WHERES, _spaced(logic), _read_where, (InvalidInputError,)),
        Parser("cursor", CURSORS, (b"=", b"-", b"_", b"A", b"\xff"), _read_cursor, (InvalidInputError,)),
    )


TABLES = (
    b"area,age,price\n120,30,250\n80,12,210\n95,3,230\n",
    b'"a";"b";"class"\r\n1,5;x;yes\r\n"2,5";;no\r\n3;"q""q";yes\r\n',
    "größe\tdatum\ty\n1.000,5\t01.02.2026\t3 %\n2\t03.04.2025\t€4\n".encode("cp1252"),
    "a,b\n1,2\n3,4\n".encode("utf-16"),
    b"1 2 3\n4 5 6\n7 8 9\n",
    b"x,y\nNA,1\n?,2\nnan,3\n0x10,4\n1_000,5\n",
)
CSV_TOKENS = (
    b",", b";", b"\t", b"|", b'"', b"'", b"\n", b"\r", b"\r\n", b"\0", b"\x1a", b"\xef\xbb\xbf", b"\xff\xfe", b"1",
    b"-", b"1e400", b"nan", b"inf", b"NA", b"?", b"%", b"$", b"01/02/2026", b"2026-01-01T00:00", b"a\n", b"9" * 400,
)  # fmt: skip
FILTERS = (
    b"state = 'running' and (tag = 'lecture' or dataset = 'digits')",
    b"name contains 'x' and not trials >= 10",
    b"created_at < '2026-01-01' or epochs in (1, 2, 3)",
)
WHERES = (b"epoch = 0 and layer = 'dense_1'", b"layer contains 'dense' and epoch in (1, 2)", b"epoch >= 5")
CURSORS = (encode(now(), "exp_0").encode(), encode(7, "a").encode(), encode("wsp_1").encode(), encode(None).encode())
KINDS: tuple[tuple[type, ...], ...] = (
    (type(now()), str),
    (int, str),
    (str,),
)
LIMITS = CsvLimits(bytes=2 * 10**4, rows=1_000, columns=50, levels=16, classes=20, values=50_000)
OPTIONS: dict[str, tuple[Any, ...]] = {
    **{
        name.lower(): get_args(getattr(csv_options, name))
        for name in ("Encoding", "Delimiter", "Quote", "Decimal", "Thousands", "Missing", "Categorical", "Dates")
    },
    "header": (True, False),
    "day_first": (True, False),
    "task": ("regression", "classification"),
    "target": ("y", "price", "column_1", ""),
    "drop": (("a",), ("x", "y")),
    "text_columns": (("a",), ("age",)),
}


def _read_spec(data: bytes, draw: Generator) -> None:
    body = orjson.loads(data)
    for _ in range(int(draw.integers(0, 3))):
        body = changed_value(body, draw)
    check_bounds(body)
    with tempfile.TemporaryDirectory() as folder:
        Prepared(parse_spec(body, Path(folder), "default"), SETTINGS)


SETTINGS = Settings.model_validate({"max_trials": 200, "max_unfinished_trials": 200})


def _read_json(data: bytes, _: Generator) -> None:
    check_bounds(orjson.loads(data))
    doubled(data)


def _read_csv(data: bytes, draw: Generator) -> None:
    names = [name for name in OPTIONS if draw.random() < 0.15]
    chosen = {name: OPTIONS[name][int(draw.integers(len(OPTIONS[name])))] for name in names}
    parse_csv(io.BytesIO(data), CsvOptions.model_validate(chosen), LIMITS)


def _read_filter(data: bytes, _: Generator) -> None:
    _compiled(parse_filter(_text(data)))


def _read_where(data: bytes, _: Generator) -> None:
    _compiled(parse_where(_text(data)))


def _compiled(clause: Any) -> None:
    for dialect in (sqlite.dialect(), postgresql.dialect()):
        clause.compile(dialect=dialect)


def _read_cursor(data: bytes, draw: Generator) -> None:
    decode(_text(data), *KINDS[int(draw.integers(len(KINDS)))])


def _claims() -> list[bytes]:
    return [claim.encode() for preset in PRESETS.values() for claim in preset.spec.get("hypotheses", [])] + [
        b"val_loss(he_uniform) < 0.5 * val_loss(glorot_uniform) + 1e-3",
        b"best val_accuracy(relu) within 0.01 of best val_accuracy(tanh)",
    ]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _spaced(words: bytes) -> tuple[bytes, ...]:
    return (*(b" " + word for word in words.split()), b"\xc3\xa9", b"\0", b"(")
