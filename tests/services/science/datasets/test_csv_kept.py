"""Tables that were read rightly before are read to the same numbers, under the same names."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from services.science.datasets.csv_options import CsvOptions
from services.science.datasets.csv_table import parse_csv
from services.science.datasets.digests import digest_of

KEPT: dict[str, Any] = json.loads((Path(__file__).parent / "csv_tables.json").read_text("utf-8"))
"""Written by the reader of 0.2.0, which typed a column by its first value."""


@pytest.mark.parametrize("name", KEPT)
def test_a_table_of_before_is_read_as_before(name: str) -> None:
    stored = KEPT[name]
    table = parse_csv(io.BytesIO(stored["text"].encode()), CsvOptions(**stored["options"]))
    assert digest_of(table.x, table.y) == stored["digest"]
    assert list(table.features) == stored["features"]
    assert (table.target, table.task, list(table.classes)) == (stored["target"], stored["task"], stored["classes"])
    assert table.dropped_rows == stored["dropped_rows"]


def test_options_that_were_stored_before_are_still_read() -> None:
    stored = {"target": None, "task": None, "delimiter": ",", "missing": "drop_row", "categorical": "one_hot"}
    options = CsvOptions.model_validate({**stored, "drop": [], "text_columns": []})
    assert (options.delimiter, options.missing, options.header) == (",", "drop_row", None)
