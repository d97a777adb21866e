"""What becomes of every column of a CSV file, decided by all its values: number, text, date, or left out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.science.datasets.csv_faults import CsvFault, shown
from services.science.datasets.csv_header import Header
from services.science.datasets.csv_options import CsvLimits, CsvOptions, Delimiter
from services.science.datasets.csv_survey import ColumnTally, Survey
from services.science.datasets.csv_values import COMMA, DAY_FIRST, ISO, MONTH_FIRST, NOTATIONS, PLAIN, POINT, Notation

Kind = Literal["number", "text", "date", "row_numbers", "row_names", "empty", "unread"]
Role = Literal["feature", "target", "left_out"]
ORDERS = {ISO: "year, month, day", DAY_FIRST: "day, month, year", MONTH_FIRST: "month, day, year"}


class ColumnReading(BaseModel):
    """How one column of the file was read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    place: int = Field(description="In the file, from 1.")
    role: Role
    kind: Kind = Field(description="`unread` where `drop` names it.")
    values: int = Field(description="That are not missing.")
    missing: int
    levels: int | None = Field(description="Different texts of a text column.")
    notation: str = Field(description="How its numbers or dates are written, where not as 1234.5.")
    examples: tuple[str, ...] = Field(description="Up to three of its values.")


@dataclass
class ColumnPlan:
    """One column as it will be read.

    Attributes:
        place: in the file, from 0.
        date_order: how its dates are written, for `kind` date.
        levels: the texts of a text column, sorted.
    """

    name: str
    place: int
    role: Role
    kind: Kind
    tally: ColumnTally
    notation: Notation = NOTATIONS[0]
    date_order: int = 0
    levels: tuple[str, ...] = ()

    def told(self) -> ColumnReading:
        """For the answer."""
        tally = self.tally
        examples = [text for texts in tally.examples.values() for _, text in texts if text not in tally.spellings]
        notation = ORDERS[self.date_order] if self.date_order else self.notation.told()
        affixes = " ".join(filter(None, tally.affixes))
        return ColumnReading(
            name=self.name,
            place=self.place + 1,
            role=self.role,
            kind=self.kind,
            values=tally.values,
            missing=tally.missing,
            levels=len(tally.levels) if self.kind == "text" and not tally.more_levels else None,
            notation=", ".join(filter(None, (notation, f"with {affixes}" if affixes else ""))),
            examples=tuple(text[:100] for text in examples[:3]),
        )


@dataclass
class Decision:
    """What is done with all columns, and what stands against it."""

    columns: list[ColumnPlan] = field(default_factory=list[ColumnPlan])
    target: ColumnPlan | None = None
    faults: list[CsvFault] = field(default_factory=list[CsvFault])
    notes: list[str] = field(default_factory=list[str])

    def features(self) -> list[ColumnPlan]:
        """Columns to predict from, in the order of the file."""
        return [column for column in self.columns if column.role == "feature"]


def decide(survey: Survey, header: Header, options: CsvOptions, limits: CsvLimits, delimiter: Delimiter) -> Decision:
    """Decide on every column by what it holds; all that stands against a table is found, not only the first."""
    return _Deciding(survey, header, options, limits, delimiter).run()


class _Deciding:
    def __init__(
        self, survey: Survey, header: Header, options: CsvOptions, limits: CsvLimits, delimiter: Delimiter
    ) -> None:
        self.survey, self.header, self.options, self.limits = survey, header, options, limits
        self.delimiter = delimiter
        self.decision = Decision()
        self.comma = self._which_mark()

    def run(self) -> Decision:
        decision = self.decision
        for place, tally in self.survey.tallies.items():
            name = self.header.names[place]
            column = ColumnPlan(name, place, "feature", "unread", tally)
            decision.columns.append(column)
            if name != self.options.target:
                self._leave_out(column)
        used = decision.features()
        if self.options.target is not None:
            used = [column for column in used if column.name != self.options.target]
            target = next(column for column in decision.columns if column.name == self.options.target)
        elif used:
            target = used.pop()
        else:
            decision.faults.append(CsvFault("a table needs a target and at least one other column with values"))
            return decision
        target.role, decision.target = "target", target
        for column in decision.columns:
            if column.role != "left_out":
                self._type(column)
                self._missing(column)
        if not used and self.survey.rows:
            message = "a table needs a target and at least one other column"
            decision.faults.append(CsvFault(f"{message}{self._other_delimiter()}"))
        elif not decision.features() and not decision.faults:
            decision.faults.append(CsvFault("no column is left to predict the target from"))
        return decision

    def _other_delimiter(self) -> str:
        if self.survey.width > 1:
            return ""
        return "; no delimiter was found that divides every line alike: say it with delimiter="

    # --- columns without a use

    def _leave_out(self, column: ColumnPlan) -> None:
        unnamed = column.place in self.header.unnamed
        what = f"the unnamed column {column.place + 1}" if unnamed else f"the column {column.name!r}"
        tally = column.tally
        if not tally.values and self.survey.rows:
            column.kind = "empty"
            if unnamed or self.options.missing != "error":
                column.role = "left_out"
                self.decision.notes.append(f"{what} holds no value and was left out")
        elif unnamed and tally.counts_up and tally.numbers > 1:
            column.role, column.kind = "left_out", "row_numbers"
            self.decision.notes.append(f"{what} only counts the rows and was left out")
        elif unnamed and tally.all_differ and tally.texts == tally.values and not tally.forced:
            column.role, column.kind = "left_out", "row_names"
            self.decision.notes.append(f"{what} holds another text in every row, as names do, and was left out")
        elif unnamed:
            self.decision.notes.append(f"{what} is called {column.name!r} here")

    # --- kinds

    def _type(self, column: ColumnPlan) -> None:
        tally = column.tally
        kinds = [("numbers", tally.numbers), ("dates", tally.dates), ("texts", tally.texts)]
        some = [(what, count) for what, count in kinds if count]
        if len(some) > 1:
            self._fault(column, self._mixed(column, some), _line(tally, "text" if tally.texts else "date"))
        elif tally.dates:
            self._as_date(column)
        elif tally.texts:
            self._as_text(column)
        elif tally.numbers:
            self._as_number(column)

    def _mixed(self, column: ColumnPlan, some: list[tuple[str, int]]) -> str:
        tally = column.tally
        counted = " and ".join(f"{count} {what if count > 1 else what[:-1]}" for what, count in some)
        odd = "text" if tally.texts else "date"
        examples = ", ".join(shown(text) for _, text in tally.examples.get(odd, ()))
        texts = [text for _, text in tally.examples.get("text", ())]
        missing = f"missing_values={texts[0]} if {shown(texts[0])} means missing, " if texts else ""
        return (
            f"the column mixes {counted} ({examples}): say {missing}text_columns={column.name} if it is text, or "
            f"drop={column.name}"
        )

    def _as_number(self, column: ColumnPlan) -> None:
        tally, options = column.tally, self.options
        column.kind = "number"
        if tally.too_large:
            line, text = tally.examples["too large"][0]
            message = (
                f"{shown(text)} is not between -3e+38 and 3e+38; correct it, or say missing_values={text} if it means "
                f"missing"
            )
            self._fault(column, message, line)
        affixes = [affix for affix in tally.affixes if affix]
        if len(affixes) > 1 or ("%" in affixes and tally.affixes[""]):
            kinds = ", ".join(f"{count} with {affix or 'neither'}" for affix, count in tally.affixes.items())
            message = f"the numbers have different units ({kinds}); write all alike, or drop={column.name}"
            self._fault(column, message, _line(tally, "notation"))
            return
        notations = [NOTATIONS[place] for place in tally.readable()]
        notations = [item for item in notations if options.decimal in (None, item.decimal)]
        if options.thousands is not None:
            notations = [item for item in notations if item.thousands in (None, options.thousands)]
        if not notations:
            marks = "" if options.decimal is None and options.thousands is None else " as decimal and thousands say"
            examples = ", ".join(
                shown(text) for kind in ("number", "notation") for _, text in tally.examples.get(kind, ())
            )
            message = (
                f"the numbers are not all written in one way{marks} ({examples}); text_columns={column.name} reads "
            )
            self._fault(column, f"{message}them as text, drop={column.name} leaves them out", _line(tally, "notation"))
            return
        column.notation = self._choose(column, notations)
        self._tell_number(column)

    def _choose(self, column: ColumnPlan, notations: list[Notation]) -> Notation:
        """One of several notations: they differ only where a mark may stand before decimals or between thousands."""
        tally, options = column.tally, self.options
        commas = [item for item in notations if item.decimal == ","]
        points = [item for item in notations if item.decimal == "."]
        plain = bool(tally.notations & PLAIN)
        # 1.100 among decimal commas, and 1,100, can both be read in two ways; whole numbers only in one.
        if not commas or not points or (plain and not tally.fractions):
            return NOTATIONS[0] if plain and not tally.fractions else notations[0]
        if options.thousands is not None and any(item.thousands == options.thousands for item in notations):
            return next(item for item in notations if item.thousands == options.thousands)
        if plain and self.comma is not True:
            return notations[0]
        if not plain and (self.comma is not None or self.delimiter != ";"):
            # Who divides values by anything but semicolons writes no decimal commas, unless other columns say so.
            return (commas if self.comma else points)[0]
        text = _example(tally, "notation" if not plain else "number")
        mark = "." if plain else ","
        message = (
            f"{shown(text)} may have decimals or thousands behind its {mark!r}: say decimal={mark} or thousands={mark}"
        )
        self._fault(column, message, _line(tally, "notation" if not plain else "number"))
        return notations[0]

    def _which_mark(self) -> bool | None:
        """Whether other columns settle that the decimal mark is a comma (True), a point (False), or neither."""
        if self.options.decimal is not None:
            return self.options.decimal == ","
        numeric = [tally for tally in self.survey.tallies.values() if tally.numbers and not tally.texts + tally.dates]
        commas = any(tally.notations and not tally.notations & POINT for tally in numeric)
        points = any(tally.notations and not tally.notations & COMMA for tally in numeric)
        return None if commas == points else commas

    def _tell_number(self, column: ColumnPlan) -> None:
        tally = column.tally
        way = column.notation.told()
        affixes = " and ".join(affix for affix in tally.affixes if affix)
        if affixes:
            way = " and ".join(filter(None, (way, f"{affixes} left off")))
        if way:
            text = _example(tally, "notation", "number")
            self.decision.notes.append(f"the numbers of {column.name!r}, such as {shown(text)}, were read with {way}")
        if tally.leading_zeros:
            self.decision.notes.append(
                f"some numbers of {column.name!r} begin with zeros, as codes do; text_columns={column.name} keeps them "
                f"as text"
            )

    def _as_date(self, column: ColumnPlan) -> None:
        tally, options = column.tally, self.options
        column.kind = "date"
        line, text = tally.examples["date"][0]
        orders = tally.date_orders
        if options.day_first is not None and orders & (DAY_FIRST | MONTH_FIRST):
            orders &= DAY_FIRST if options.day_first else MONTH_FIRST
        way_out = f"drop={column.name} leaves them out, text_columns={column.name} reads them as text"
        if options.dates == "error":
            message = f"dates such as {shown(text)}: dates=days reads them as days since 1970-01-01, {way_out}"
            self._fault(column, message, line)
        elif not orders:
            self._fault(column, f"the dates, such as {shown(text)}, are not all written in one way; {way_out}", line)
        elif orders == DAY_FIRST | MONTH_FIRST:
            message = f"{shown(text)} may begin with its day or its month: say day_first=true or day_first=false"
            self._fault(column, message, line)
        else:
            column.date_order = orders
            self.decision.notes.append(
                f"the dates of {column.name!r} ({ORDERS[orders]}) were read as days since 1970-01-01"
            )

    def _as_text(self, column: ColumnPlan) -> None:
        tally, options, limits = column.tally, self.options, self.limits
        column.kind, column.levels = "text", tuple(sorted(tally.levels))
        is_target = column.role == "target"
        line, text = tally.examples["text"][0]
        if is_target and options.task == "regression":
            message = (
                f"the target of a regression holds {shown(text)}, no number; say task=classification, or another target"
            )
            self._fault(column, message, line)
        elif not is_target and options.categorical == "drop":
            column.role = "left_out"
            self.decision.notes.append(f"the text column {column.name!r} was left out")
        elif not is_target and options.categorical == "error":
            message = f"{shown(text)} is not a number; drop={column.name} leaves the column out, or code it with "
            self._fault(column, f"{message}categorical=one_hot", line)
        elif (most := limits.classes if is_target else limits.levels) < len(tally.levels) or tally.more_levels:
            count = f"{len(tally.levels)}{' and more' if tally.more_levels else ''}"
            named = ", each once, as names do" if tally.all_differ else ""
            way_out = "choose another target" if is_target else f"drop={column.name} leaves it out"
            examples = ", ".join(shown(text) for _, text in tally.examples["text"])
            message = (
                f"the column holds {count} different texts{named} ({examples}); at most {most} are allowed: {way_out}"
            )
            self._fault(column, message, None)

    # --- missing values

    def _missing(self, column: ColumnPlan) -> None:
        tally, missing = column.tally, self.options.missing
        if not tally.missing or column.role == "left_out":
            return
        of = f"{tally.missing} of {self.survey.rows} values"
        spelled = ", ".join(f"{shown(text)}" for text in list(tally.spellings)[:SPELLINGS_SHOWN])
        if not tally.values:
            line = _line(tally, "missing")
            way_out = "choose another target" if column.role == "target" else f"drop={column.name} leaves it out"
            self._fault(column, f"every value is missing; {way_out}", line)
        elif missing == "error":
            message = f"the value is missing, as are {of} ({spelled}); fill it in, or say missing="
            self._fault(column, f"{message}{self._ways(column)}", _line(tally, "missing"))
        elif missing == "drop_column" and column.role == "feature":
            column.role = "left_out"
            self.decision.notes.append(f"the column {column.name!r} was left out for {of} that are missing")

    def _ways(self, column: ColumnPlan) -> str:
        if column.role == "target":
            return "drop_row"
        empty = sum(not tally.values for tally in self.survey.tallies.values())
        left = self.survey.complete_rows(empty)
        return f"drop_row (leaves {left} rows), drop_column, mean, median or level"

    def _fault(self, column: ColumnPlan, message: str, line: int | None) -> None:
        self.decision.faults.append(CsvFault(message, line=line, column=column.name))


SPELLINGS_SHOWN = 3


def _example(tally: ColumnTally, *kinds: str) -> str:
    """A value of the first of these kinds that has one; where all numbers are too large, one of those."""
    return next(text for kind in (*kinds, "too large") for _, text in tally.examples.get(kind, ()))


def _line(tally: ColumnTally, kind: str) -> int | None:
    examples = tally.examples.get(kind) or next(iter(tally.examples.values()), [])
    return examples[0][0] if examples else None


def unread(names: Sequence[str], places: Sequence[int]) -> list[ColumnReading]:
    """Columns that `drop` names."""
    return [ColumnPlan(names[place], place, "left_out", "unread", ColumnTally(0)).told() for place in places]
