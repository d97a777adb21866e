"""The filter language of the experiment list: ``state = 'running' and (tag = 'lecture' or dataset = 'digits')``.

    expression  = conjunction ("or" conjunction)*
    conjunction = negation ("and" negation)*
    negation    = "not" negation | "(" expression ")" | comparison
    comparison  = field sign value | field ["not"] "in" "(" value ("," value)* ")"
    sign        = "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains"

Text stands in single or double quotes, the quote itself is doubled; numbers and bare words need none. Keywords and
field names are not case sensitive. Errors say at which character of the expression they stand.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, or_

from services.db.tables import STATES, ExperimentRow
from services.errors import FieldProblem, InvalidInputError
from services.experiments.tags import has_tag

MAX_LENGTH = 2_000
MAX_DEPTH = 30
Clause = ColumnElement[bool]

TOKEN = re.compile(
    r"""\s*(?: (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*") | (?P<number>-?\d+(?:\.\d+)?(?![\w:-]))
    | (?P<sign><=|>=|!=|=|<|>|\(|\)|,) | (?P<word>[\w.:+-]+) )""",
    re.VERBOSE,
)
ORDERED: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FIELDS = ("state", "dataset", "tag", "name", "created_at", "trials", "epochs")


@dataclass(frozen=True)
class Token:
    """A piece of the expression: its kind (text, number, sign, word, end), its value, and where it starts."""

    kind: str
    value: str
    at: int

    @property
    def shown(self) -> str:
        """How a message speaks of it."""
        return "the end" if self.kind == "end" else repr(self.value)

    def is_word(self, word: str) -> bool:
        """True for this keyword in any case."""
        return self.kind == "word" and self.value.lower() == word


def parse_filter(text: str) -> Clause:
    """Turn a filter expression into a WHERE clause over `ExperimentRow`.

    Raises:
        InvalidInputError: with the position and what was expected there.
    """
    if len(text) > MAX_LENGTH:
        raise _error(f"is longer than {MAX_LENGTH} characters")
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over the tokens, one method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.index = 0
        self.depth = 0

    def parse(self) -> Clause:
        clause = self._expression()
        if self._now.kind != "end":
            raise _error(f"expected `and`, `or` or the end, not {self._now.value!r}", self._now)
        return clause

    @property
    def _now(self) -> Token:
        return self.tokens[self.index]

    def _take(self) -> Token:
        token = self._now
        self.index += 1
        return token

    def _expression(self) -> Clause:
        parts = [self._conjunction()]
        while self._now.is_word("or"):
            self._take()
            parts.append(self._conjunction())
        return or_(*parts) if len(parts) > 1 else parts[0]

    def _conjunction(self) -> Clause:
        parts = [self._negation()]
        while self._now.is_word("and"):
            self._take()
            parts.append(self._negation())
        return and_(*parts) if len(parts) > 1 else parts[0]

    def _negation(self) -> Clause:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(f"is nested deeper than {MAX_DEPTH}", self._now)
        try:
            if self._now.is_word("not"):
                self._take()
                return not_(self._negation())
            if self._now.value == "(" and self._now.kind == "sign":
                self._take()
                clause = self._expression()
                self._expect(")")
                return clause
            return self._comparison()
        finally:
            self.depth -= 1

    def _comparison(self) -> Clause:
        field = self._take()
        if field.kind != "word" or field.value.lower() not in FIELDS:
            raise _error(f"expected a field ({', '.join(FIELDS)}), not {field.shown}", field)
        name = field.value.lower()
        sign = self._take()
        if sign.is_word("not") and self._now.is_word("in"):
            self._take()
            return not_(self._membership(name))
        if sign.is_word("in"):
            return self._membership(name)
        symbol = sign.value.lower()
        if not (sign.kind == "sign" and symbol in ORDERED) and not sign.is_word("contains"):
            raise _error(f"expected one of = != < <= > >= contains in, not {sign.shown}", sign)
        return _compare(name, symbol, self._value(), sign)

    def _membership(self, name: str) -> Clause:
        opening = self._expect("(")
        clauses = [_compare(name, "=", self._value(), opening)]
        while self._now.value == "," and self._now.kind == "sign":
            self._take()
            clauses.append(_compare(name, "=", self._value(), opening))
        self._expect(")")
        return or_(*clauses)

    def _value(self) -> Token:
        token = self._take()
        if token.kind not in ("text", "number", "word"):
            raise _error(f"expected a value, not {token.shown}", token)
        return token

    def _expect(self, sign: str) -> Token:
        token = self._take()
        if token.kind != "sign" or token.value != sign:
            raise _error(f"expected {sign!r}, not {token.shown}", token)
        return token


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        if match is None:
            at = len(text) - len(text[position:].lstrip())
            raise _error(f"cannot read {text[at : at + 10]!r}", Token("end", "", at))
        kind = match.lastgroup or "word"
        value = match.group(kind)
        if kind == "text":
            value = value[1:-1].replace(value[0] * 2, value[0])
        tokens.append(Token(kind, value, match.start(kind)))
        position = match.end()
    return [*tokens, Token("end", "", end)]


def _compare(field: str, sign: str, value: Token, sign_token: Token) -> Clause:
    if field == "tag":
        if sign not in ("=", "!="):
            raise _error("a tag is compared with = or !=", sign_token)
        clause = has_tag(value.value)
        return clause if sign == "=" else not_(clause)
    column: Any = ExperimentRow.trial_count if field == "trials" else getattr(ExperimentRow, field)
    if sign == "contains":
        if field not in ("name", "dataset"):
            raise _error(f"`contains` works on name and dataset, not on {field}", sign_token)
        return column.icontains(value.value, autoescape=True)
    if field in ("state", "name", "dataset"):
        if sign not in ("=", "!="):
            raise _error(f"{field} is compared with = or !=, not {sign}", sign_token)
        if field == "state" and value.value not in STATES:
            raise _error(f"unknown state {value.value!r}; legal: {', '.join(STATES)}", value)
        # SQL's NULL is neither equal nor unequal to a text; a reader expects "no name" to differ from any name.
        return column == value.value if sign == "=" else or_(column.is_(None), column != value.value)
    return ORDERED[sign](column, _time(value) if field == "created_at" else _number(value))


def _time(value: Token) -> datetime:
    try:
        found = datetime.fromisoformat(value.value)
    except ValueError:
        raise _error(f"created_at needs a time such as '2026-11-22T10:00:00Z', not {value.value!r}", value) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _number(value: Token) -> int:
    if value.kind != "number" or "." in value.value or abs(int(value.value)) > 2**31 - 1:
        raise _error(f"expected a whole number, not {value.value!r}", value)
    return int(value.value)


def _error(message: str, token: Token | None = None) -> InvalidInputError:
    place = "" if token is None else f" at character {token.at + 1}"
    return InvalidInputError(f"filter: {message}{place}", [FieldProblem("filter", f"{message}{place}")])
