"""Tables as people bring them: read as they are meant and told how, or refused in one answer with a way out."""

import io
from typing import Any

import numpy as np
import pytest

from services.science.datasets.csv_faults import MOST_FAULTS, CsvInvalid
from services.science.datasets.csv_notes import MOST_NOTES
from services.science.datasets.csv_options import CsvOptions
from services.science.datasets.csv_table import CsvTable, parse_csv

ROWS = range(1, 61)
KINDS = ("setosa", "versicolor", "virginica")


def read(content: str | bytes, **options: Any) -> CsvTable:
    content = content if isinstance(content, bytes) else content.encode()
    return parse_csv(io.BytesIO(content), CsvOptions(**options))


def refused(content: str | bytes, **options: Any) -> list[str]:
    with pytest.raises(CsvInvalid) as caught:
        read(content, **options)
    return [str(fault) for fault in caught.value.faults]


def lines(make: Any, header: str = "") -> str:
    return header + "".join(f"{make(i)}\n" for i in ROWS)


def noted(table: CsvTable, *words: str) -> bool:
    return any(all(word in note for word in words) for note in table.notes)


# --- header


@pytest.mark.parametrize(
    ("make", "target", "features"),
    [
        (lambda i: f"{4 + i / 10},{i / 7:.2f},{KINDS[i % 3]}", "column_3", ("column_1", "column_2")),
        (lambda i: f"{'MFI'[i % 3]},0.{i},{i % 9}", "column_3", ("column_1=F", "column_1=I", "column_1=M", "column_2")),
        (lambda i: f"0.0{i},0.{i}1,{'RM'[i % 2]}", "column_3", ("column_1", "column_2")),
        (lambda i: f"{20 + i}, {('Private', 'State')[i % 2]}, {('<=50K', '>50K')[i % 5 == 0]}", "column_3", None),
        (lambda i: f"{'pe'[i % 2]},{'xbs'[i % 3]},{'yn'[i % 4 == 0]}", "column_3", None),
        (lambda i: f"{i},{i * 0.5},{i * 7}", "column_3", ("column_1", "column_2")),
        (lambda i: f"person {i},{i % 7},{i * 0.5}", "column_3", None),
        (lambda i: f"{'?' if i == 1 else i},{i % 7},{KINDS[i % 3]}", "column_3", None),
    ],
)
def test_a_table_without_a_header_keeps_its_first_row(make: Any, target: str, features: Any) -> None:
    table = read(lines(make), missing="drop_row")
    assert len(table.x) + table.dropped_rows == len(ROWS)
    assert table.target == target
    assert features is None or table.features == features
    assert noted(table, "the first line", "header=true")
    assert table.options.header is False


@pytest.mark.parametrize(
    ("header", "make"),
    [
        ("name,2019,2020\n", lambda i: f"n{i % 4},{i},{i}.5"),
        ("0,1,2,3\n", lambda i: f"{i / 9},{i / 3},{i},{i}.5"),
        ("size,colour\n", lambda i: f"{'SML'[i % 3]},{('red', 'blue')[i % 2]}"),
        (",a,b\n", lambda i: f"{i},{i}.5,{i * 2}.5"),
        ("a,when,y\n", lambda i: f"{i},2020-01-{1 + i % 28:02},{i}.5"),
        ("a,b,y\n", lambda i: f"{i},,{i}.5"),
    ],
)
def test_a_header_is_found(header: str, make: Any) -> None:
    table = read(lines(make, header), dates="days", missing="drop_column")
    assert len(table.x) == len(ROWS)
    assert table.options.header is True
    assert table.target == header.strip().split(",")[-1]


@pytest.mark.parametrize("spell", ["€1e400", "1e400 %", "1e400"])
def test_a_column_of_nothing_but_too_large_numbers_is_refused(spell: str) -> None:
    assert any(
        "is not between -3e+38 and 3e+38" in fault for fault in refused(lines(lambda i: f"{i},{spell}", "a,y\n"))
    )


def test_a_first_line_of_numbers_may_hold_what_is_not_finite() -> None:
    (fault,) = refused("1,inf\n2,3\n4,5\n")
    assert "inf" in fault


def test_the_option_overrules_the_header_that_was_found() -> None:
    numbers = lines(lambda i: f"{i * 2},{i * 3}", "1,2\n")
    assert len(read(numbers).x) == 61
    forced = read(numbers, header=True)
    assert (len(forced.x), forced.features, forced.target) == (60, ("1",), "2")
    named = lines(lambda i: f"{'ab'[i % 2]},{'cd'[i % 3 == 0]}", "a,c\n")
    assert read(named, header=False).target == "column_2"
    assert not noted(read(named, header=False), "first line")
    # A name that the client knows is one.
    assert read(lines(lambda i: f"{i * 2},{i * 3}", "5,7\n"), target="5").features == ("7",)


def test_columns_without_names_get_some_or_are_left_out() -> None:
    table = read(lines(lambda i: f"{i - 1},{i * i},{i}.5,,", ",a,y,,\n"))
    assert (table.features, table.target) == (("a",), "y")
    assert noted(table, "unnamed column 1", "counts the rows")
    assert noted(table, "unnamed column 4", "holds no value")
    assert [column.kind for column in table.columns] == ["row_numbers", "number", "number", "empty", "empty"]
    table = read(lines(lambda i: f"{i * i},{i}.25,{i}.5", ",a,y\n"))
    assert table.features == ("column_1", "a")
    assert noted(table, "called 'column_1'")
    assert read(lines(lambda i: f"{i * i},{i}.25,{i}.5", ",a,y\n"), drop=("column_1",)).features == ("a",)
    names_of_rows = read(lines(lambda i: f"row {i},{i * 3},{i}.5", "a,y\n"))
    assert (names_of_rows.features, names_of_rows.target) == (("a",), "y")
    assert noted(names_of_rows, "another text in every row", "left out")
    ends = read(lines(lambda i: f"{i * 3},{i}.5,", "a,y\n"))
    assert (ends.features, ends.target) == (("a",), "y")
    twice = read(lines(lambda i: f"{i * 3},{i % 7},{i}.5", "a,a,y\n"))
    assert twice.features == ("a", "a_2")
    assert noted(twice, "columns 1 and 2 are both named 'a'", "'a_2'")


# --- bytes


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
def test_the_delimiter_is_found(delimiter: str) -> None:
    text = lines(lambda i: f"{i},{KINDS[i % 3]},{i}.5".replace(",", delimiter), delimiter.join("aby") + "\n")
    table = read(text)
    assert table.features == ("a", *(f"b={kind}" for kind in KINDS))
    assert table.options.delimiter == delimiter
    assert noted(table, "divided by") == (delimiter != ",")
    assert read(text, delimiter=delimiter).features == table.features


def test_marks_inside_values_do_not_divide_them() -> None:
    table = read(lines(lambda i: f'"{("a;b;c", "d;e;f")[i % 2]}","x | y",{i}.5', '"t","u","y"\n'))
    assert table.features == ("t=a;b;c", "t=d;e;f", "u=x | y")
    single = read(lines(lambda i: f"'{('a,b', 'c')[i % 2]}',{i}.5", "'t','y'\n"))
    assert single.features == ("t=a,b", "t=c")
    assert (single.options.quote, noted(single, "quoted by")) == ("'", True)
    inches = lines(lambda i: f'5"{i},{("2", "3")[i % 2]}" pipe,{i}', "a,b,y\n")
    assert read(inches, quote="none", drop=("a",)).features == ('b=2" pipe', 'b=3" pipe')
    assert "quote=none" in refused(lines(lambda i: f'"5"{i},{i}', "a,y\n"))[0]


def test_one_column_says_how_to_divide_it() -> None:
    (fault,) = refused(lines(lambda i: f"{i}:{i}", "a:b\n"))
    assert "a target and at least one other column" in fault
    assert "delimiter=" in fault


@pytest.mark.parametrize(
    ("codec", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16"),
        ("utf-16-be", "utf-16"),
        ("latin-1", "latin-1"),
        ("cp1252", "windows-1252"),
    ],
)
def test_the_encoding_is_found(codec: str, encoding: Any) -> None:
    price = "€" if codec == "cp1252" else "ß"
    content = lines(lambda i: f"{i},{('grün', price)[i % 2]},{i}.5", "größe,farbe,y\n").encode(codec)
    table = read(content)
    assert table.features == ("größe", *sorted(["farbe=grün", f"farbe={price}"]))
    assert table.options.encoding == encoding
    assert noted(table, "was read as") == (encoding != "utf-8")
    if codec not in ("utf-16-le", "utf-16-be"):
        assert read(content, encoding=encoding).features == table.features


def test_what_is_not_utf_16_is_refused_as_such() -> None:
    (fault,) = refused(lines(lambda i: f"{i},{i}.5", "a,y\n"), encoding="utf-16")
    assert "does not begin as UTF-16 does; save the file as UTF-8" in fault


def test_lines_may_end_in_carriage_returns_only() -> None:
    assert len(read(lines(lambda i: f"{i},{i}.5", "a,y\n").replace("\n", "\r")).x) == len(ROWS)


# --- numbers


@pytest.mark.parametrize(
    ("spell", "value"),
    [
        (lambda i: f'"{i},25"', lambda i: i + 0.25),
        (lambda i: f'"{i},{i:03}"', lambda i: 1000 * i + i),
        (lambda i: f'"1,{i:03},000.5"', lambda i: 1_000_000 + 1000 * i + 0.5),
        (lambda i: f'"1.{i:03},5"', lambda i: 1000 + i + 0.5),
        (lambda i: f"1 {i:03}", lambda i: 1000 + i),
        (lambda i: f"1\u202f{i:03}", lambda i: 1000 + i),
        (lambda i: f"1'{i:03}.5", lambda i: 1000 + i + 0.5),
        (lambda i: f"1_{i:03}", lambda i: 1000 + i),
        (lambda i: f"{i}%", lambda i: i),
        (lambda i: f'"${i},{i:03}.50"', lambda i: 1000 * i + i + 0.5),
        (lambda i: f"({i}.5)", lambda i: -i - 0.5),
        (lambda i: f"\u2212{i}.5", lambda i: -i - 0.5),
        (lambda i: "".join(chr(0x660 + int(digit)) for digit in str(i)), lambda i: i),
        (lambda i: f" {i}.5 € ", lambda i: i + 0.5),
    ],
)
@pytest.mark.parametrize("place", ["feature", "target"])
def test_numbers_in_every_notation_are_numbers(spell: Any, value: Any, place: str) -> None:
    other = lines(lambda i: f"{spell(i)},{i % 5}", "a,b\n")
    table = read(other, target="b" if place == "feature" else "a", task="regression")
    numbers = table.x[:, 0] if place == "feature" else table.y
    np.testing.assert_array_equal(numbers, [value(i) for i in ROWS])
    column = table.columns[0]
    assert (column.kind, column.values, column.missing) == ("number", len(ROWS), 0)
    assert len(table.features) == 1


def test_what_can_be_read_in_two_ways_is_settled_by_other_columns_or_asked() -> None:
    text = lines(lambda i: f"{i},100;{i}", "a;y\n")
    (fault,) = refused(text)
    assert "'1,100' may have decimals or thousands" in fault
    assert "decimal=, or thousands=," in fault
    assert read(text, decimal=",").x[0, 0] == 1.1
    assert read(text, thousands=",").x[0, 0] == 1100
    by_other = read(lines(lambda i: f"{i},100;{i},5;{i}", "a;b;y\n"))
    assert by_other.x[0].tolist() == [1.1, 1.5]
    by_point = read(lines(lambda i: f"{i},100;{i}.5;{i}", "a;b;y\n"))
    assert by_point.x[0].tolist() == [1100, 1.5]
    (fault,) = refused(lines(lambda i: f"{i}.100;{i},5;{i}", "a;b;y\n"))
    assert "decimal=. or thousands=." in fault
    assert read(lines(lambda i: f"{i}.100;{i},5;{i}", "a;b;y\n"), decimal=",").x[0].tolist() == [1100, 1.5]


def test_numbers_of_different_notations_or_units_are_refused() -> None:
    assert "not all written in one way" in refused(lines(lambda i: f"{i}.5;{i}" if i % 2 else f"{i},5;{i}", "a;y\n"))[0]
    assert "different units" in refused(lines(lambda i: f"{i}%,{i}" if i % 2 else f"0.{i},{i}", "a,y\n"))[0]
    assert "different units" in refused(lines(lambda i: f"{'$€'[i % 2]}{i},{i}", "a,y\n"))[0]
    table = read(lines(lambda i: f"{'$' if i % 2 else ''}{i},{i}", "a,y\n"))
    assert table.x[:3, 0].tolist() == [1, 2, 3]


def test_a_mixed_column_is_refused_with_counts_or_converted_by_name() -> None:
    text = lines(lambda i: f"{'abc' if i == 7 else i},{i}.5", "a,y\n")
    (fault,) = refused(text)
    assert fault.startswith("line 8, column 'a': the column mixes 59 numbers and 1 text ('abc')")
    assert "missing_values=abc" in fault
    assert "text_columns=a" in fault
    assert "drop=a" in fault
    assert read(text, missing_values=("abc",), missing="drop_row").dropped_rows == 1
    first = lines(lambda i: f"{'abc' if i == 1 else i % 5},{i}.5", "a,y\n")
    assert "mixes 59 numbers and 1 text" in refused(first)[0]
    assert len(read(first, text_columns=("a",)).features) == 6
    assert noted(read(lines(lambda i: f"0{i % 10}1,{i}.5", "zip,y\n")), "begin with zeros", "text_columns=zip")


# --- missing values


@pytest.mark.parametrize("spelling", ["", "?", "NA", "N/A", "nan", "NAN", "None", "null", "#N/A", "<NA>", " ? "])
@pytest.mark.parametrize("first", [True, False])
def test_missing_values_are_known_in_numbers_and_in_text(spelling: str, first: bool) -> None:
    gone = (1, 2) if first else (30, 31)
    text = lines(lambda i: f"{spelling if i in gone else i},{spelling if i in gone else 'xy'[i % 2]},{i}.5", "a,b,y\n")
    faults = refused(text)
    assert [fault.partition(":")[0] for fault in faults] == [f"line {gone[0] + 1}, column {name!r}" for name in "ab"]
    assert all("2 of 60 values" in fault and "drop_row (leaves 58 rows)" in fault for fault in faults)
    table = read(text, missing="drop_row")
    assert (len(table.x), table.features) == (58, ("a", "b=x", "b=y"))


def test_every_way_with_missing_values_tells_its_cost() -> None:
    text = lines(
        lambda i: f"{'?' if i % 6 == 1 else i},{'' if i % 10 == 0 else 'xy'[i % 2]},{i % 4},{i}.5", "a,t,c,y\n"
    )
    values = np.array([i for i in ROWS if i % 6 != 1])
    dropped = read(text, missing="drop_row")
    assert noted(dropped, "10 of 60 values of 'a'", "16.7 %")
    assert noted(dropped, "6 of 60 values of 't'")
    assert read(text, missing="drop_column").features == ("c",)
    assert noted(read(text, missing="drop_column"), "'a' was left out for 10 of 60")
    for way, fill in (("mean", values.mean()), ("median", np.median(values)), ("level", values.mean())):
        table = read(text, missing=way)
        assert len(table.x) == 60
        assert table.x[0, 0] == pytest.approx(fill)
        assert noted(table, "10 missing values of 'a' became its", f"{fill:.6g}")
        marked = ("a", "a=missing") if way == "level" else ("a",)
        assert table.features == (*marked, "t=x", "t=y", "t=missing", "c")
        at = table.features.index("t=missing")
        assert table.x[:, at].sum() == 6
        assert np.all(table.x[:, at - 2 : at + 1].sum(axis=1) == 1)
    marks = read(text, missing="level").x[:, 1]
    assert marks.tolist() == [float(i % 6 == 1) for i in ROWS]


def test_rows_without_a_target_are_dropped_whatever_is_done_with_the_rest() -> None:
    text = lines(lambda i: f"{i % 7},{'' if i % 3 == 0 else i}", "a,y\n")
    for way in ("drop_row", "drop_column", "mean", "median", "level"):
        table = read(text, missing=way)
        assert (len(table.x), table.dropped_rows) == (40, 20)
        assert noted(table, "20 of 60 values of 'y'", "rows were dropped")


def test_the_column_that_costs_all_rows_is_named() -> None:
    (fault,) = refused(lines(lambda i: f"{'A' if i == 3 else ''},{i},{i}.5", "deck,a,y\n"), missing="drop_row")
    assert "1 rows; 59 were dropped for missing values: 'deck' misses 59" in fault
    table = read(lines(lambda i: f",{i},{i}.5", "deck,a,y\n"), missing="drop_row")
    assert (len(table.x), table.features) == (60, ("a",))
    assert noted(table, "'deck' holds no value")


def test_a_name_for_missing_is_never_one_of_the_levels() -> None:
    text = lines(lambda i: f"{('missing', 'x', '')[i % 3]},{i}.5", "t,y\n")
    assert read(text, missing="level").features == ("t=missing", "t=x", "t=missing_")


# --- dates


def test_dates_are_refused_with_a_way_out_and_become_days() -> None:
    text = lines(lambda i: f"2020-01-{1 + i % 28:02},{i}.5", "d,y\n")
    (fault,) = refused(text)
    assert "dates=days" in fault
    assert "drop=d" in fault
    table = read(text, dates="days")
    assert table.x[:2, 0].tolist() == [18_263, 18_264]
    assert noted(table, "days since 1970-01-01")
    assert (table.columns[0].kind, table.columns[0].notation) == ("date", "year, month, day")
    assert read(lines(lambda i: f"{1 + i % 28}.03.2020 06:00,{i}.5", "d,y\n"), dates="days").x[0, 0] == 18_323.25
    unsure = lines(lambda i: f"0{1 + i % 9}/03/2020,{i}.5", "d,y\n")
    assert "day_first=true or day_first=false" in refused(unsure, dates="days")[0]
    assert read(unsure, dates="days", day_first=True).x[0, 0] == 18_323
    assert read(unsure, dates="days", day_first=False).x[0, 0] == 18_295
    gaps = lines(lambda i: f"{'' if i == 5 else '2020-02-29'},{i}.5", "d,y\n")
    assert read(gaps, dates="days", missing="mean").x[4, 0] == 18_321
    assert len(read(lines(lambda i: f"2020-01-0{1 + i % 3},{i}.5", "d,y\n"), text_columns=("d",)).features) == 3


# --- all at once, and what is worth knowing


def test_all_faults_come_in_one_answer() -> None:
    make = lambda i: f"{'x' if i == 3 else i},{'' if i % 2 else i},name {i},2020-01-0{1 + i % 9},{i}.5"  # noqa: E731
    columns = ",".join("abcdefgh") + "\n"
    wide = lines(lambda i: f"{make(i)},{i},'{i}%,5.{i}", columns) + "1,2\n"
    faults = refused(wide)
    assert len(faults) == 4
    assert faults[0] == "line 62: 2 values instead of 8"
    many = ",".join(f"c{i}" for i in range(50)) + ("\n" + ",".join(["?"] * 50)) * 60
    faults = refused(many)
    assert (len(faults), faults[-1]) == (MOST_FAULTS + 1, "and 30 more that are not listed")
    unknown = refused("a,b\n1,2\n3,4\n", target="c", drop=("d",), text_columns=("e",))
    assert [fault.split()[0] for fault in unknown] == ["target", "drop", "text_columns"]


def test_what_is_lost_or_looks_wrong_is_told() -> None:
    vanish = read(lines(lambda i: f"{i if i % 10 < 2 else ''},{i % 3},c{i % 10}", "a,b,k\n"), missing="drop_row")
    assert noted(vanish, "2 of 10 classes are left", "'c2'")
    numbers = read(lines(lambda i: f"{i if i % 6 < 2 else ''},{i % 5},{i % 6}", "a,b,k\n"), missing="drop_row")
    assert noted(numbers, "2 of 6 classes are left")
    single = read(lines(lambda i: f"{i % 9},{'rare' if i == 4 else 'xy'[i % 2]}", "a,k\n"))
    assert noted(single, "1 class has one row only", "'rare'")
    states = read(lines(lambda i: f"{i % 9},state {i}", "a,s\n"))
    assert noted(states, "every row has a class of its own", "'s'")
    odd = read(lines(lambda i: f"{i},7,{'only'},{i * 2}.5,{i % 9},{i * 2}.5", "id,same,word,copy,b,y\n"))
    assert noted(odd, "'id'", "another value in every row")
    assert noted(odd, "'same', 'word' holds the same value")
    assert noted(odd, "'copy' tells the target 'y'")
    renamed = read(lines(lambda i: f"{i % 9},{('p', 'q', 'r')[i % 3]},{KINDS[i % 3]}", "a,code,k\n"))
    assert noted(renamed, "'code' tells the target 'k'")
    assert not noted(read(lines(lambda i: f"{i % 9},{i % 7},{KINDS[i % 3]}", "a,b,k\n")), "tells the target")


def test_notes_and_examples_are_bounded() -> None:
    names = [f"c{i}" for i in range(300)]
    table = read(",".join(names) + "\n" + "".join(",".join([f"x{i % 2}"] * 299 + [f"{i}"]) + "\n" for i in range(30)))
    assert len(table.notes) == MOST_NOTES + 1
    assert "more notes" in table.notes[-1]
    long = read(lines(lambda i: f"{'x' * 5000}{i % 2},{i}.5", "t,y\n"))
    assert max(map(len, long.notes)) <= 500
    assert max(len(text) for column in long.columns for text in column.examples) <= 100


def test_each_column_is_told_with_counts() -> None:
    text = lines(lambda i: f"{'?' if i == 9 else i},{'xyz'[i % 3]},{i}%,u{i},{i}.5", "a,t,p,id,y\n")
    table = read(text, missing="mean", drop=("id",))
    columns = {column.name: column for column in table.columns}
    assert [(c.role, c.kind, c.values, c.missing, c.levels) for c in columns.values()] == [
        ("feature", "number", 59, 1, None),
        ("feature", "text", 60, 0, 3),
        ("feature", "number", 60, 0, None),
        ("left_out", "unread", 0, 0, None),
        ("target", "number", 60, 0, None),
    ]
    assert columns["p"].notation == "with %"
    assert columns["t"].examples == ("y", "z", "x")
    assert [column.place for column in table.columns] == [1, 2, 3, 4, 5]
