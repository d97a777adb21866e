"""The grammar of filter expressions, whatever their fields: ``a = 1 and (b = 'x' or not c in (1, 2))``.

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, or_

from services.errors import FieldProblem, InvalidInputError

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


Compare = Callable[[str, str, Token, Token], Clause]
"""Makes the clause of one comparison from the field, the sign, the value, and the sign's token (for its place)."""


def parse_expression(text: str, fields: Sequence[str], compare: Compare, name: str = "filter") -> Clause:
    """Turn an expression into a WHERE clause.

    Args:
        text: the expression.
        fields: the names it may use.
        compare: gives the clause of one comparison; raises `FilterSyntaxError` for what cannot be compared.
        name: of the parameter, for messages.

    Raises:
        InvalidInputError: with the position and what was expected there.
    """
    try:
        if len(text) > MAX_LENGTH:
            raise FilterSyntaxError(f"is longer than {MAX_LENGTH} characters")
        return _Parser(text, fields, compare).parse()
    except FilterSyntaxError as found:
        message = str(found)
        raise InvalidInputError(f"{name}: {message}", [FieldProblem(name, message)]) from None


class FilterSyntaxError(Exception):
    """What is wrong with an expression, and where."""

    def __init__(self, message: str, token: Token | None = None) -> None:
        super().__init__(message if token is None else f"{message} at character {token.at + 1}")


class _Parser:
    """Recursive descent over the tokens, one method for each rule of the grammar."""

    def __init__(self, text: str, fields: Sequence[str], compare: Compare) -> None:
        self.tokens = _tokens(text)
        self.fields = fields
        self.compare = compare
        self.index = 0
        self.depth = 0

    def parse(self) -> Clause:
        clause = self._expression()
        if self._now.kind != "end":
            raise FilterSyntaxError(f"expected `and`, `or` or the end, not {self._now.value!r}", self._now)
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
            raise FilterSyntaxError(f"is nested deeper than {MAX_DEPTH}", self._now)
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
        if field.kind != "word" or field.value.lower() not in self.fields:
            raise FilterSyntaxError(f"expected a field ({', '.join(self.fields)}), not {field.shown}", field)
        name = field.value.lower()
        sign = self._take()
        if sign.is_word("not") and self._now.is_word("in"):
            self._take()
            return not_(self._membership(name))
        if sign.is_word("in"):
            return self._membership(name)
        symbol = sign.value.lower()
        if not (sign.kind == "sign" and symbol in ORDERED) and not sign.is_word("contains"):
            raise FilterSyntaxError(f"expected one of = != < <= > >= contains in, not {sign.shown}", sign)
        return self.compare(name, symbol, self._value(), sign)

    def _membership(self, name: str) -> Clause:
        opening = self._expect("(")
        clauses = [self.compare(name, "=", self._value(), opening)]
        while self._now.value == "," and self._now.kind == "sign":
            self._take()
            clauses.append(self.compare(name, "=", self._value(), opening))
        self._expect(")")
        return or_(*clauses)

    def _value(self) -> Token:
        token = self._take()
        if token.kind not in ("text", "number", "word"):
            raise FilterSyntaxError(f"expected a value, not {token.shown}", token)
        return token

    def _expect(self, sign: str) -> Token:
        token = self._take()
        if token.kind != "sign" or token.value != sign:
            raise FilterSyntaxError(f"expected {sign!r}, not {token.shown}", token)
        return token


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = TOKEN.match(text, position)
        if match is None:
            at = len(text) - len(text[position:].lstrip())
            raise FilterSyntaxError(f"cannot read {text[at : at + 10]!r}", Token("end", "", at))
        kind = match.lastgroup or "word"
        value = match.group(kind)
        if kind == "text":
            value = value[1:-1].replace(value[0] * 2, value[0])
        tokens.append(Token(kind, value, match.start(kind)))
        position = match.end()
    return [*tokens, Token("end", "", end)]
