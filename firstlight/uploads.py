"""The command that uploads a table, and shows how every column of it was read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from firstlight.client import Client
from firstlight.options import AsJson, Url
from firstlight.output import Column, note, one_line, show_json, show_table

COLUMNS = (
    Column("column", right=True),
    Column("name"),
    Column("role", whole=True),
    Column("kind", whole=True),
    Column("values", right=True),
    Column("missing", right=True),
    Column("texts", right=True, explains=True),
    Column("written", explains=True),
    Column("examples"),
)


def upload(
    file: Annotated[Path, typer.Argument(help="A CSV file.")],
    url: Url = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show how it would be read; nothing is kept.")
    ] = False,
    target: Annotated[str | None, typer.Option(help="Column to predict; default: the last one.")] = None,
    task: Annotated[str | None, typer.Option(help="regression or classification.")] = None,
    name: Annotated[str | None, typer.Option(help="A title for people; default: the file's name.")] = None,
    missing: Annotated[
        str | None, typer.Option(help="error, drop_row, drop_column, mean, median or level; default: error.")
    ] = None,
    missing_values: Annotated[
        list[str] | None, typer.Option(help="A spelling of a missing value; may be repeated.")
    ] = None,
    categorical: Annotated[str | None, typer.Option(help="Text columns: one_hot, drop or error.")] = None,
    dates: Annotated[str | None, typer.Option(help="Columns of dates: error or days.")] = None,
    day_first: Annotated[bool | None, typer.Option("--day-first/--month-first", help="What 01/02/2026 means.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="A column to leave out; may be repeated.")] = None,
    text_columns: Annotated[list[str] | None, typer.Option(help="A column to read as text; may be repeated.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between two values; \\t is a tab.")] = None,
    quote: Annotated[str | None, typer.Option(help="Around a value: \", ' or none.")] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Does the first line name columns?")
    ] = None,
    decimal: Annotated[str | None, typer.Option(help="Decimal mark, . or ,")] = None,
    thousands: Annotated[str | None, typer.Option(help="Mark between groups of three digits.")] = None,
    encoding: Annotated[str | None, typer.Option(help="utf-8, utf-16, latin-1 or windows-1252.")] = None,
    as_json: AsJson = False,
) -> None:
    """Upload a CSV file; prints the name to put into a spec's `dataset`. What is not given is found in the file.

    With --dry-run a table of how every column was read, in a pipe a line each: column, name, role, kind, values,
    missing, texts, written, examples.
    """
    options: dict[str, Any] = {
        "target": target, "task": task, "name": name, "missing": missing, "missing_values": missing_values,
        "categorical": categorical, "dates": dates, "drop": drop, "text_columns": text_columns,
        "delimiter": "\t" if delimiter == "\\t" else delimiter, "quote": quote, "decimal": decimal,
        "thousands": thousands, "encoding": encoding,
        "day_first": None if day_first is None else str(day_first).lower(),
        "header": None if header is None else str(header).lower(),
    }  # fmt: skip
    settled = {option: value for option, value in options.items() if value not in (None, [])}
    with Client(url) as client:
        entry = client.upload(file, dry_run=dry_run, **settled)
    if as_json:
        show_json(entry)
        return
    for line in entry["notes"]:
        note(one_line(line), style="yellow")
    if dry_run:
        note(f"{entry['task']} of {one_line(entry['target'])}: {entry['rows']} rows, {len(entry['features'])} features")
        show_table(COLUMNS, map(_row, entry["columns"]))
    else:
        print(one_line(entry["name"]))


def _row(column: Mapping[str, Any]) -> list[object]:
    names = ("place", "name", "role", "kind", "values", "missing", "levels", "notation")
    return [*(column[name] for name in names), ", ".join(column["examples"])]
