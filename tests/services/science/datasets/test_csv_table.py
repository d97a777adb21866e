"""A user's CSV: what is read back, what is decided, and every refusal with its line."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.science.datasets.csv_faults import CsvInvalid
from services.science.datasets.csv_options import CsvLimits, CsvOptions
from services.science.datasets.csv_table import CsvTable, parse_csv
from services.science.datasets.csv_values import MISSING, number, reading_of


def read(content: str | bytes, limits: CsvLimits | None = None, **options: Any) -> CsvTable:
    content = content if isinstance(content, bytes) else content.encode()
    return parse_csv(io.BytesIO(content), CsvOptions(**options), limits)


def test_numbers_and_texts_in_the_order_of_the_file() -> None:
    table = read("age, colour ,height,price\n1,red,2.5,10\n2, blue,-1e3,20.5\n3,red, 7 ,30\n")
    assert table.features == ("age", "colour=blue", "colour=red", "height")
    np.testing.assert_array_equal(table.x, [[1, 0, 1, 2.5], [2, 1, 0, -1000], [3, 0, 1, 7]])
    np.testing.assert_array_equal(table.y, [10, 20.5, 30])
    assert (table.target, table.task, table.outputs, table.classes) == ("price", "regression", 1, ())
    assert table.notes == (
        "the text column 'colour' was coded as 2 columns of 0 and 1: blue, red",
        "'age' holds another value in every row, as numbers or names of rows do",
    )


def test_text_and_few_whole_numbers_are_classes() -> None:
    table = read("x,kind\n1,pine\n2,oak\n3,pine\n")
    assert (table.task, table.classes, table.y.tolist()) == ("classification", ("oak", "pine"), [1, 0, 1])
    body = "x,y\n" + "".join(f"{i},{i % 3 - 1}\n" for i in range(30))
    table = read(body)
    assert (table.task, table.classes) == ("classification", ("-1", "0", "1"))
    assert table.y.tolist() == [i % 3 for i in range(30)]
    assert "taken as classes" in table.notes[0]
    table = read(body, task="regression")
    assert (table.task, table.classes, table.y.dtype) == ("regression", (), np.float64)
    assert read("x,y\n1,1.5\n2,2.5\n3,1.5\n", task="classification").classes == ("1.5", "2.5")
    assert read("x,y\n" + "".join(f"{i},{i}\n" for i in range(30))).task == "regression"


def test_the_target_may_stand_anywhere() -> None:
    table = read("a,b,c\n1,2,3\n4,5,6\n", target="b")
    assert table.features == ("a", "c")
    np.testing.assert_array_equal(table.x, [[1, 3], [4, 6]])
    np.testing.assert_array_equal(table.y, [2, 5])


def test_rows_with_a_missing_value_can_be_dropped() -> None:
    text = "a,b,c\n1,x,3\n,x,4\n2,NA,5\n3,y,nan\n4, y ,6\n5,x,7\n"
    table = read(text, missing="drop_row")
    np.testing.assert_array_equal(table.x, [[1, 1, 0], [4, 0, 1], [5, 1, 0]])
    assert table.dropped_rows == 3
    assert "3 rows with a missing value were dropped" in table.notes
    assert read(text, missing="drop_row", drop=("b",)).x.tolist() == [[1], [2], [4], [5]]
    only = read("a,b,c\n1,x,3\n2,y,\n4,x,6\n", missing="drop_row")
    assert only.features == ("a", "b=x")


def test_text_columns_can_be_left_out_or_forced() -> None:
    assert read("a,b,c\n1,x,3\n2,y,4\n", categorical="drop").features == ("a",)
    assert read("a,b,c\n1,x,3\n2,y,4\n", drop=("b",)).features == ("a",)
    table = read("zip,c\n01234,1\n98765,2\n01234,3\n", text_columns=("zip",))
    assert table.features == ("zip=01234", "zip=98765")


def test_quotes_blank_lines_and_a_byte_order_mark() -> None:
    text = '\ufeff"a ""b""",c\r\n\r\n"1",2\r\n\r\n3,"4"\r\n'
    table = read(text)
    assert table.features == ('a "b"',)
    np.testing.assert_array_equal(table.x, [[1], [3]])
    table = read('t,y\n"line one\nline two",1\n"x;,",2\n')
    assert table.features == ("t=line one\nline two", "t=x;,")
    assert read("a;b\n1;2\n3;4\n", delimiter=";").x.tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("text", "options", "line", "column", "reason"),
    [
        ("", {}, None, None, "the file is empty"),
        ("\n\n", {}, None, None, "the file is empty"),
        ("a,b\x07\n", {}, 1, None, "control characters"),
        ("a," + "b" * 201 + "\n1,2\n3,4\n", {}, 1, None, "the name of column 2 is longer than 200 characters"),
        ("a\n1\n2\n", {}, None, None, "a target and at least one other column"),
        ("a,b\n1,2\n", {"target": "price"}, None, None, "target names 'price', which is none of the columns 'a', 'b'"),
        ("a,b\n1,2\n", {"drop": ("c",)}, None, None, "drop names 'c'"),
        ("a,b\n1,2\n", {"text_columns": ("c",)}, None, None, "text_columns names 'c'"),
        ("a,b\n1,2\n", {"drop": ("b",)}, None, None, "the target 'b' cannot be dropped"),
        ("a,b\n1,2\n", {}, None, None, "the table has 1 rows; at least 2"),
        ("a,b\n1,2\n,3\n4,\n", {"missing": "drop_row"}, None, None, "has 1 rows; 2 were dropped"),
        ("a,b\n1,2\n3\n", {}, 3, None, "1 values instead of 2"),
        ('a,b\n"x\ny",2\n1,2,3\n', {}, 4, None, "3 values instead of 2"),
        ("a,b\n1,2\nabc,4\n", {}, 3, "a", "the column mixes 1 number and 1 text ('abc')"),
        ('a,b\n"1\n",2\n\nx,4\n', {}, 5, "a", "the column mixes 1 number and 1 text ('x')"),
        ("a,b\n1,2\n3,inf\n", {}, 3, "b", "'inf' is not between"),
        ("a,b\n1,2\n1e39,4\n", {}, 3, "a", "'1e39' is not between"),
        ("a,b\n1,2\n,4\n", {}, 3, "a", "the value is missing"),
        ("a,b\n1,2\n3, NA\n", {}, 3, "b", "the value is missing"),
        ("a,b\n,2\n,3\n", {}, 2, "a", "every value is missing; drop=a leaves it out"),
        ("a,b\nx,2\ny,3\n", {"categorical": "error"}, 2, "a", "'x' is not a number"),
        ("a,b\n1,x\n2,y\n", {"task": "regression"}, 2, "b", "the target of a regression holds 'x'"),
        ("a,b\n1,x\n2,x\n", {}, None, "b", "1 classes; between 2 and"),
        ("a,b\n1,2\n2,2\n", {"task": "classification"}, None, "b", "1 classes"),
        ("a,b\nx,1\ny,2\n", {"categorical": "drop"}, None, None, "no column is left"),
        ('a,b\n1,2\n"x"y,3\n', {}, 3, None, "not readable as CSV"),
        ('a,b\n1,2\n\n"x,3\n4,5\n', {}, 4, None, "not readable as CSV"),
        (b"a,b\n1,2\n\xff,3\n", {"encoding": "utf-8"}, 3, None, "byte 1 of the line is not UTF-8"),
        (b"a,b\n1,2\n3,\x01\xff\n", {}, 3, None, "it holds control characters: is it a text?"),
        (b"PK\x03\x04" + b"x" * 50, {}, None, None, "an Excel workbook or another zip archive, no CSV file"),
        ("a,b\n" + "x" * 200_000 + ",1\n", {}, 2, None, "field larger than field limit"),
    ],
)
def test_refusals_name_line_column_and_reason(
    text: str | bytes, options: dict[str, Any], line: int | None, column: str | None, reason: str
) -> None:
    with pytest.raises(CsvInvalid) as caught:
        read(text, **options)
    error = caught.value
    assert (error.line, error.column) == (line, column), str(error)
    assert reason in str(error)
    if line is not None:
        assert f"line {line}" in str(error)


@pytest.mark.parametrize(
    ("limits", "text", "line", "reason"),
    [
        (CsvLimits(bytes=20), "a,b\n1,2\n3,4\n5,6\n7,8\n9,10\n", 6, "larger than 20 bytes"),
        (CsvLimits(bytes=20), "a" * 100, 1, "larger than 20 bytes"),
        (CsvLimits(rows=3), "a,b\n1,2\n3,4\n5,6\n7,8\n", 5, "more than 3 rows"),
        (CsvLimits(columns=2), "a,b,c\n1,2,3\n", 1, "3 columns; at most 2"),
        (CsvLimits(levels=2), "a,b\nx,1\ny,2\nx,3\nz,4\n", None, "holds 3 different texts .'x', 'y', 'z'.; at most 2"),
        (CsvLimits(classes=2), "a,b\n1,x\n2,y\n3,z\n", None, "holds 3 different texts, each once, as names do"),
        (CsvLimits(values=2), "a,b\n1,2\n3,4\n5,6\n", None, "3 rows of 1 columns are more than 2 values"),
        (CsvLimits(values=6), "a,b\nx,2\ny,4\nz,6\n", None, "3 rows of 3 columns are more than 6 values"),
    ],
)
def test_limits(limits: CsvLimits, text: str, line: int | None, reason: str) -> None:
    with pytest.raises(CsvInvalid, match=reason) as caught:
        read(text, limits)
    assert caught.value.line == line


def test_dropped_rows_do_not_count_as_values() -> None:
    text = "a,b\n1,2\n,2\n3,4\n"
    assert read(text, CsvLimits(values=2), missing="drop_row").x.tolist() == [[1], [3]]
    with pytest.raises(CsvInvalid, match="more than 2 values") as caught:
        read(text + "5,6\n", CsvLimits(values=2), missing="drop_row")
    assert caught.value.line == 5


def test_lines_stay_right_across_chunks() -> None:
    rows = 250_000
    text = "a,b\n" + "1,2\n" * rows + "\n3,4x\n"
    with pytest.raises(CsvInvalid, match=r"1 text \('4x'\)") as caught:
        read(text)
    assert (caught.value.line, caught.value.column) == (rows + 3, "b")
    table = read("a,b\n" + "".join(f"{i},{i / 2}\n" for i in range(rows)))
    np.testing.assert_array_equal(table.x[:, 0], np.arange(rows))
    np.testing.assert_array_equal(table.y, np.arange(rows) / 2)


def test_a_gap_longer_than_a_chunk_is_dropped_before_a_column_is_typed() -> None:
    rows = 150_000
    table = read("a,b\n" + ",1\n" * rows + "x,2\ny,3\nx,4\n", missing="drop_row")
    assert (table.dropped_rows, table.features) == (rows, ("a=x", "a=y"))


NUMBERS = st.floats(-1e30, 1e30)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda text: text.strip() not in MISSING and reading_of(text) is None
)


@given(data=st.data(), delimiter=st.sampled_from([",", ";", "\t", "|"]), ending=st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=150, deadline=None)
def test_what_the_csv_module_writes_is_read_back(data: st.DataObject, delimiter: Any, ending: str) -> None:
    columns = data.draw(st.integers(2, 5))
    names = data.draw(st.lists(NAMES, min_size=columns, max_size=columns, unique=True))
    if all(number(name) is not None for name in names):
        return
    rows = data.draw(st.integers(2, 12))
    texts = data.draw(st.lists(st.booleans(), min_size=columns - 1, max_size=columns - 1))
    cells: list[Any] = [
        data.draw(st.lists(TEXTS if text else NUMBERS, min_size=rows, max_size=rows)) for text in (*texts, False)
    ]
    buffer = io.StringIO(newline="")
    # Before Python 3.13 the minimal quoting forgets to quote a lone carriage return.
    lone = any("\r" in value for values in cells for value in values if isinstance(value, str))
    quoting: Any = csv.QUOTE_ALL if lone else data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    writer.writerow(names)
    writer.writerows(zip(*cells, strict=True))
    table = read(buffer.getvalue(), delimiter=delimiter, quote='"', header=True, task="regression")
    np.testing.assert_array_equal(table.y, cells[-1])
    expected: list[Any] = []
    for is_text, values in zip(texts, cells[:-1], strict=True):
        if is_text:
            stripped = [value.strip() for value in values]
            expected += [[float(value == level) for value in stripped] for level in sorted(set(stripped))]
        else:
            expected.append(values)
    np.testing.assert_array_equal(table.x, np.array(expected, dtype=float).T)


@given(st.binary(max_size=300))
@example(b"a,b\n1,2\n3,4\n")
@example(b'"a","b\n')
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_table_or_a_refusal(content: bytes) -> None:
    try:
        table = parse_csv(io.BytesIO(content))
    except CsvInvalid:
        return
    assert len(table.x) == len(table.y) >= 2
    assert np.all(np.isfinite(table.x))


@given(st.text("0123456789.,-+eEinfa_ \t\nxb\"';", max_size=120))
@settings(max_examples=300, deadline=None)
def test_any_near_csv_text_gives_a_table_or_a_refusal(body: str) -> None:
    try:
        table = read("a,b\n" + body, missing="drop_row")
    except CsvInvalid:
        return
    assert np.all(np.isfinite(table.x))
    assert np.all(np.isfinite(table.y))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-2.5e-3", -0.0025),
        (".5", 0.5),
        ("1_0", None),
        ("nan", None),
        ("0x1", None),
        ("", None),
        ("１", None),
    ],
)
def test_what_counts_as_a_number(text: str, value: float | None) -> None:
    assert number(text) == value
