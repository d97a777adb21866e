"""Epoch rows as tables for other programs: CSV, JSON Lines and Parquet, trial by trial in bounded memory."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.orm import Session

from services.trials.series import Member, Part, Selection, ordered, parts

LEADING = ("trial_id", "arm", "seed", "epoch")


def columns_of(session: Session, trials: Sequence[Member], selection: Selection) -> list[str]:
    """The metrics that any of the trials has, known ones first: a table needs them before its first row."""
    names: set[str] = set()
    for part in parts(session, trials, selection):
        names.update(part.metrics)
    return ordered(names)


def csv_lines(session: Session, trials: Sequence[Member], selection: Selection) -> Iterator[bytes]:
    """RFC 4180 with a header; an empty cell is a number that is not finite or was not measured."""
    names = columns_of(session, trials, selection)
    yield _csv([[*LEADING, *names]])
    for part in parts(session, trials, selection):
        yield _csv(_cells(part, names))


def json_lines(session: Session, trials: Sequence[Member], selection: Selection) -> Iterator[bytes]:
    """One JSON object per row and line."""
    for part in parts(session, trials, selection):
        names = ordered(part.metrics)
        keys = [*LEADING, *names]
        rows = (dict(zip(keys, cells, strict=True)) for cells in _cells(part, names))
        yield b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def parquet(session: Session, trials: Sequence[Member], selection: Selection) -> Iterator[bytes]:
    """One Parquet file, compressed with Zstandard; NaN stands for what is not finite or was not measured."""
    names = columns_of(session, trials, selection)
    schema = pa.schema(
        [("trial_id", pa.string()), ("arm", pa.string()), ("seed", pa.int64()), ("epoch", pa.int64())]
        + [(name, pa.float64()) for name in names]
    )
    out = io.BytesIO()
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in _groups(parts(session, trials, selection), 64):
            writer.write_table(_table(group, names, schema))
    yield out.getvalue()


FORMATS: dict[str, tuple[str, Callable[[Session, Sequence[Member], Selection], Iterator[bytes]]]] = {
    "csv": ("text/csv", csv_lines),
    "jsonl": ("application/jsonl", json_lines),
    "parquet": ("application/vnd.apache.parquet", parquet),
}
"""Media type and writer of each table format."""


def _table(group: Sequence[Part], names: Sequence[str], schema: pa.Schema) -> pa.Table:
    def column(name: str) -> pa.Array:
        missing = [part.metrics.get(name, np.full(part.epochs.size, np.nan)) for part in group]
        return pa.array(np.concatenate(missing))

    sizes = [part.epochs.size for part in group]
    leading = [
        pa.array(np.repeat([part.member.id for part in group], sizes)),
        pa.array(np.repeat([part.member.label for part in group], sizes)),
        pa.array(np.repeat([part.member.seed for part in group], sizes)),
        pa.array(np.concatenate([part.epochs for part in group])),
    ]
    return pa.Table.from_arrays([*leading, *(column(name) for name in names)], schema=schema)


def _groups(chosen: Iterator[Part], size: int) -> Iterator[list[Part]]:
    group: list[Part] = []
    for part in chosen:
        group.append(part)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _cells(part: Part, names: Sequence[str]) -> Iterator[list[str | int | float | None]]:
    size = part.epochs.size
    columns = [
        [None if value != value else value for value in part.metrics[name].tolist()]  # noqa: PLR0124 - NaN
        if name in part.metrics
        else [None] * size
        for name in names
    ]
    member = part.member
    for epoch, *values in zip(part.epochs.tolist(), *columns, strict=True):
        yield [member.id, member.label, member.seed, epoch, *values]


def _csv(rows: Iterator[list[str | int | float | None]] | list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
