"""The words of a claim."""

import re
from dataclasses import dataclass
from typing import Literal

from services.science.hypotheses.ast import HypothesisError

Kind = Literal["name", "number", "sign", "end"]
_SPELLED = {"≤": "<=", "≥": ">=", "·": ",", "×": "*", "−": "-"}  # labels and typographers write them so
_PATTERN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign><=|>=|[<>=()+\-*,@≤≥·×−]))"
)


@dataclass(frozen=True)
class Token:
    """A word: `text` in its plain spelling, `position` 0-based in the claim."""

    kind: Kind
    text: str
    position: int

    @property
    def shown(self) -> str:
        """The token as a message names it."""
        return "the end" if self.kind == "end" else repr(self.text)


def tokens(text: str) -> list[Token]:
    """Cut a claim into words; the last one is always `end`.

    Raises:
        HypothesisError: a character that no word begins with.
    """
    tokens: list[Token] = []
    place = 0
    while match := _PATTERN.match(text, place):
        kind: Kind = "number" if match["number"] else "name" if match["name"] else "sign"
        word = match[kind]
        tokens.append(Token(kind, word.lower() if kind == "name" else _SPELLED.get(word, word), match.start(kind)))
        place = match.end()
    rest = text[place:]
    if rest.strip():
        position = place + len(rest) - len(rest.lstrip())
        raise HypothesisError(f"unexpected {text[position]!r}", position)
    return [*tokens, Token("end", "", len(text))]
