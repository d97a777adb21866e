"""What is read from a CSV file, against pandas: rows, numbers, missing values, and the levels of text."""

import io
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from services.science.datasets.csv_options import CsvOptions
from services.science.datasets.csv_table import parse_csv

NUMBERS = st.floats(-1e12, 1e12).map(lambda value: round(value, 4))
WORDS = st.sampled_from(["red", "green", "dark blue", "a,b", 'a "quoted" one', "l'été", "x;y", "yes"])
MISSING = st.sampled_from(["", "NA", "nan", "None", "null", "?", "#N/A", "<NA>", "n/a"])
FORMS: dict[tuple[str, str], tuple[str, str | None]] = {
    ("point", ""): (".", None),
    ("comma", ""): (",", None),
    ("point", ","): (".", ","),
    ("comma", "."): (",", "."),
}


def spelled(value: float, decimal: str, thousands: str | None) -> str:
    text = f"{value:,.4f}" if thousands else f"{value:.4f}"
    return text.translate(str.maketrans({",": thousands or "", ".": decimal}))


@given(
    data=st.data(),
    form=st.sampled_from(list(FORMS)),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    way=st.sampled_from(["drop_row", "mean", "median"]),
)
@settings(max_examples=120, deadline=None)
def test_numbers_and_levels_are_those_of_pandas(data: Any, form: Any, delimiter: Any, way: Any) -> None:
    decimal, thousands = FORMS[form]
    count = data.draw(st.integers(4, 25))
    cells: dict[str, list[str]] = {
        "size": [
            spelled(value, decimal, thousands) for value in data.draw(st.lists(NUMBERS, min_size=count, max_size=count))
        ],
        "kind": data.draw(st.lists(WORDS, min_size=count, max_size=count)),
        "y": [spelled(float(place), decimal, thousands) for place in range(count)],
    }
    for name in ("size", "kind"):
        for place in data.draw(st.sets(st.integers(2, count - 1), max_size=count // 3)):
            cells[name][place] = data.draw(MISSING)
    text = pd.DataFrame(cells).to_csv(index=False, sep=delimiter)
    frame = pd.read_csv(io.StringIO(text), sep=delimiter, decimal=decimal, thousands=thousands, na_values=["?"])
    table = parse_csv(io.BytesIO(text.encode()), CsvOptions(missing=way, task="regression"))
    if way == "drop_row":
        frame = frame.dropna()
    else:
        frame["size"] = frame["size"].fillna(getattr(frame["size"], way)())
        frame["kind"] = frame["kind"].fillna("missing")
    levels = sorted({*frame["kind"]} - {"missing"}) + ["missing"] * ("missing" in {*frame["kind"]})
    assert table.features == ("size", *(f"kind={level}" for level in levels))
    assert len(table.x) == len(frame)
    np.testing.assert_allclose(table.x[:, 0], frame["size"], rtol=1e-12)
    np.testing.assert_array_equal(table.y, frame["y"])
    for place, level in enumerate(levels, start=1):
        np.testing.assert_array_equal(table.x[:, place], frame["kind"] == level)
