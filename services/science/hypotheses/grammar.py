"""Read a claim; `GRAMMAR` is its language."""

import math
from typing import Final, cast

from services.science.grid import AXES
from services.science.hypotheses.ast import (
    At,
    Hypothesis,
    HypothesisError,
    Item,
    Pick,
    Quantity,
    Relation,
    Selector,
    Statistic,
    Sum,
    Term,
    plain,
)
from services.science.hypotheses.tokens import Token, tokens

GRAMMAR = """\
claim     = sum ("<" | "<=" | ">" | ">=" | "within" NUMBER "of") sum
sum       = ["-"] term {("+" | "-") term}
term      = NUMBER ["*" quantity] | quantity
quantity  = [function] metric "(" selector ")"            best_val_loss(relu, he_uniform), val_loss@3(relu)
          | ("spread" | "gap" | "jumpiness") ["(" metric ")"] "(" selector ")"
          | "diverged" "(" selector ")"
          | "epochs_to" "(" METRIC ("<=" | ">=") NUMBER ")" "(" selector ")"
metric    = ["best_" | "final_" | "auc_"] METRIC ["@" (EPOCH | "final" | "best" | "auc")]
selector  = ("best" | "worst") "(" items ")" | items
items     = "*" | item {"," item}
item      = [AXIS "="] KIND ["(" parameter {"," parameter} ")"] | "batch" NUMBER
parameter = NAME "=" value | "*"                          sgd means sgd at its defaults if there, sgd(*) every sgd
"""

MOST_TERMS = 20
DEFAULT_METRIC = "val_loss"
FUNCTIONS: Final = ("spread", "gap", "jumpiness")
POINTS: Final = ("final", "best", "auc")
RELATIONS: Final = ("<", "<=", ">", ">=")


def parse(text: str) -> Hypothesis:
    """Read a claim.

    Raises:
        HypothesisError: with the place of the first thing that cannot be read.
    """
    return _Parser(text).claim()


class _Parser:
    """One pass over the words of a claim."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = tokens(text)
        self.at = 0

    def claim(self) -> Hypothesis:
        left = self.sum()
        relation, tolerance = self.relation()
        right = self.sum()
        if self.here.kind != "end":
            raise self.error(f"unexpected {self.here.shown} after a whole claim")
        if not left.terms and not right.terms:
            raise HypothesisError("a claim needs at least one quantity such as val_loss(relu, he_uniform)", 0)
        return Hypothesis(self.text, left, relation, right, tolerance)

    def relation(self) -> tuple[Relation, float]:
        word = self.take()
        if word.text in RELATIONS:
            return cast(Relation, word.text), 0.0
        if word.text == "within" and word.kind == "name":
            place = self.here.position
            tolerance = self.number()
            if not tolerance > 0:
                raise HypothesisError("the tolerance of `within` must be above 0", place)
            self.expect("of")
            return "within", tolerance
        hint = "; two measured numbers are never equal: say how near with `within 0.01 of`" if word.text == "=" else ""
        raise HypothesisError(f"expected <, <=, >, >= or `within NUMBER of`, not {word.shown}{hint}", word.position)

    def sum(self) -> Sum:
        terms: list[Term] = []
        constant = 0.0
        sign = -1.0 if self.accept("-") else 1.0
        while True:
            number, quantity = self.term()
            if quantity is None:
                constant += sign * number
            else:
                terms.append(Term(sign * number, quantity))
            if len(terms) > MOST_TERMS:
                raise self.error(f"a sum has at most {MOST_TERMS} quantities")
            if self.here.text not in ("+", "-"):
                return Sum(tuple(terms), constant)
            sign = -1.0 if self.take().text == "-" else 1.0

    def term(self) -> tuple[float, Quantity | None]:
        if self.here.kind != "number":
            return 1.0, self.quantity()
        place = self.here.position
        factor = self.number()
        if not self.accept("*"):
            return factor, None
        if factor == 0:
            raise HypothesisError("a factor of 0 leaves nothing to claim", place)
        return factor, self.quantity()

    def quantity(self) -> Quantity:
        word = self.take()
        if word.kind != "name":
            raise HypothesisError(
                f"expected a quantity such as val_loss(relu, he_uniform) or a number, not {word.shown}", word.position
            )
        if word.text == "diverged":
            return Quantity("diverged", "", self.selector(), word.position)
        if word.text == "epochs_to":
            return self.epochs_to(word)
        if word.text in FUNCTIONS:
            metric, at = self.metric() if self.has_two_brackets() else (DEFAULT_METRIC, "final")
            return Quantity(cast(Statistic, word.text), metric, self.selector(), word.position, at)
        metric, at = self.point(word)
        return Quantity("metric", metric, self.selector(), word.position, at)

    def epochs_to(self, word: Token) -> Quantity:
        self.expect("(")
        metric = self.name("a metric such as val_accuracy").text
        relation = self.take()
        if relation.text not in ("<=", ">="):
            raise HypothesisError(
                f"epochs_to needs a threshold such as val_accuracy >= 0.5, not {relation.shown}", relation.position
            )
        threshold = self.signed()
        self.expect(")")
        selector = self.selector()
        return Quantity(
            "epochs_to", metric, selector, word.position, threshold=threshold, at_least=relation.text == ">="
        )

    def metric(self) -> tuple[str, At]:
        self.expect("(")
        metric = self.point(self.name("a metric such as val_loss"))
        self.expect(")")
        return metric

    def point(self, word: Token) -> tuple[str, At]:
        """Cut `best_val_loss` or `val_loss@3` into the metric and where it is taken."""
        for point in POINTS:
            if word.text.startswith(f"{point}_"):
                return word.text.removeprefix(f"{point}_"), point
        if not self.accept("@"):
            return word.text, "final"
        mark = self.take()
        if mark.text in POINTS:
            return word.text, cast(At, mark.text)
        if mark.kind == "number" and mark.text.isdigit():
            return word.text, int(mark.text[:9])
        raise HypothesisError(f"after @ stands an epoch, final, best or auc, not {mark.shown}", mark.position)

    def selector(self) -> Selector:
        opening = self.expect("(")
        pick: Pick | None = None
        if self.here.text in ("best", "worst") and self.words[self.at + 1].text == "(":
            pick = cast(Pick, self.take().text)
            self.expect("(")
        items = self.items()
        self.expect(")")
        if pick is not None:
            self.expect(")")
        return Selector(items, opening.position, pick)

    def items(self) -> tuple[Item, ...]:
        if self.accept("*"):
            return ()
        items = [self.item()]
        while self.accept(","):
            items.append(self.item())
        return tuple(items)

    def item(self) -> Item:
        word = self.name("the name of an activation, initializer or optimizer")
        axis = None
        if word.text in AXES and self.accept("="):
            axis = word.text
            if axis == "batch_size":
                return self.batch(word)
            word = self.name(f"the name of an {axis}")
        elif word.text == "batch" and self.here.kind == "number":
            return self.batch(word)
        parameters = self.parameters()
        every = ("*", "") in parameters
        return Item(word.text, word.position, axis, tuple(entry for entry in parameters if entry[0] != "*"), every)

    def batch(self, word: Token) -> Item:
        size = self.take()
        if not size.text.isdigit():
            raise HypothesisError(f"a batch size is a whole number, not {size.shown}", size.position)
        return Item(str(int(size.text[:9])), word.position, "batch_size")

    def parameters(self) -> tuple[tuple[str, str], ...]:
        if not self.accept("("):
            return ()
        parameters = [self.parameter()]
        while self.accept(","):
            parameters.append(self.parameter())
        self.expect(")")
        return tuple(sorted(parameters))

    def parameter(self) -> tuple[str, str]:
        if self.accept("*"):
            return "*", ""
        name = self.name("a parameter's name")
        self.expect("=")
        if self.here.kind == "name":
            word = self.take()
            inside = ", ".join(f"{key}={value}" for key, value in self.parameters())
            return name.text, f"{word.text}({inside})" if inside else word.text
        return name.text, plain(self.signed())

    def has_two_brackets(self) -> bool:
        """Whether `(...)(...)` follows, so that the first pair holds a metric."""
        depth = 0
        for place in range(self.at, len(self.words)):
            depth += {"(": 1, ")": -1}.get(self.words[place].text, 0)
            if depth == 0:
                return place > self.at and self.words[place + 1].text == "("
        return False

    def number(self) -> float:
        word = self.take()
        if word.kind != "number":
            raise HypothesisError(f"expected a number, not {word.shown}", word.position)
        value = float(word.text)
        if not math.isfinite(value):
            raise HypothesisError(f"{word.text} is too large for a number", word.position)
        return value

    def signed(self) -> float:
        return -self.number() if self.accept("-") else self.number()

    def name(self, what: str) -> Token:
        word = self.take()
        if word.kind != "name":
            raise HypothesisError(f"expected {what}, not {word.shown}", word.position)
        return word

    def expect(self, text: str) -> Token:
        word = self.take()
        if word.text != text or word.kind == "end":
            raise HypothesisError(f"expected {text!r}, not {word.shown}", word.position)
        return word

    def accept(self, text: str) -> bool:
        matches = self.here.text == text and self.here.kind == "sign"
        self.at += matches
        return matches

    def take(self) -> Token:
        word = self.here
        self.at = min(self.at + 1, len(self.words) - 1)
        return word

    def error(self, reason: str) -> HypothesisError:
        return HypothesisError(reason, self.here.position)

    @property
    def here(self) -> Token:
        return self.words[self.at]
