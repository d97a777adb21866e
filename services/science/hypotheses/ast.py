"""What a claim is once it is read: two sums of quantities, and a relation between them."""

from dataclasses import dataclass
from typing import Literal

Relation = Literal["<", "<=", ">", ">=", "within"]
Statistic = Literal["metric", "spread", "gap", "jumpiness", "diverged", "epochs_to"]
At = Literal["final", "best", "auc"] | int
Pick = Literal["best", "worst"]


def plain(value: float) -> str:
    """A number in the fewest digits that read back as the same number."""
    return repr(float(value)).removesuffix(".0")


class HypothesisError(ValueError):
    """A claim that cannot be read, or does not fit its experiment.

    Attributes:
        position: 0-based place of the offending character in the claim's text.
        reason: what is wrong there, with the legal choice; the error's own text adds the place.
    """

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"at character {position + 1}: {reason}")
        self.reason = reason
        self.position = position


@dataclass(frozen=True)
class Item:
    """One name in an arm selector: a member's kind, with those of its parameters that have to match.

    It means the one member that it is the label of, where the grid has that; else, and with `every`, all members with
    that kind and those parameters. `axis` is None where the name alone has to say it. A batch size is an item of the
    axis `batch_size`, named by its digits.
    """

    name: str
    position: int
    axis: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()
    every: bool = False

    def __str__(self) -> str:
        """The item as it would be written."""
        inside = ", ".join([*(f"{name}={value}" for name, value in self.parameters), *(["*"] if self.every else [])])
        text = f"batch {self.name}" if self.axis == "batch_size" else self.name
        qualified = f"{self.axis}={text}" if self.axis not in (None, "batch_size") else text
        return f"{qualified}({inside})" if inside else qualified


@dataclass(frozen=True)
class Selector:
    """Which arms: names of one axis are alternatives, names of different axes must all hold; no names mean all arms.

    Several arms count by their mean at each seed, or with `pick` only the best or the worst of them.
    """

    items: tuple[Item, ...]
    position: int
    pick: Pick | None = None

    def __str__(self) -> str:
        """The selector as it would be written."""
        inside = ", ".join(map(str, self.items)) or "*"
        return f"{self.pick}({inside})" if self.pick else inside


@dataclass(frozen=True)
class Quantity:
    """One number per seed of the selected arms.

    Attributes:
        statistic: `metric` itself, or what is made of it.
        metric: name of the epoch row's column; empty for `diverged`.
        at: which epoch: the last, the metric's best, the mean over all (area under the curve), or a given one.
        threshold: of `epochs_to`.
        at_least: whether the threshold is reached from below.
    """

    statistic: Statistic
    metric: str
    selector: Selector
    position: int
    at: At = "final"
    threshold: float = 0.0
    at_least: bool = False

    def __str__(self) -> str:
        """The quantity as it would be written."""
        match self.at:
            case "final":
                metric = self.metric
            case int():
                metric = f"{self.metric}@{self.at}"
            case _:
                metric = f"{self.at}_{self.metric}"
        match self.statistic:
            case "metric":
                return f"{metric}({self.selector})"
            case "diverged":
                return f"diverged({self.selector})"
            case "epochs_to":
                relation = ">=" if self.at_least else "<="
                return f"epochs_to({self.metric} {relation} {plain(self.threshold)})({self.selector})"
            case _:
                return f"{self.statistic}({metric})({self.selector})"


@dataclass(frozen=True)
class Term:
    """A quantity with its factor."""

    factor: float
    quantity: Quantity


@dataclass(frozen=True)
class Sum:
    """A sum of terms and a number."""

    terms: tuple[Term, ...]
    constant: float

    def __str__(self) -> str:
        """The sum as it would be written."""
        parts = [(term.factor, f"{_factor(term.factor)}{term.quantity}") for term in self.terms]
        if self.constant or not parts:
            parts.append((self.constant, plain(abs(self.constant))))
        first, *rest = parts
        lead = "-" if first[0] < 0 else ""
        return lead + first[1] + "".join(f" {'-' if sign < 0 else '+'} {text}" for sign, text in rest)


@dataclass(frozen=True)
class Hypothesis:
    """A relation between two sums. `tolerance` belongs to `within` only."""

    text: str
    left: Sum
    relation: Relation
    right: Sum
    tolerance: float = 0.0

    def __str__(self) -> str:
        """The claim as it would be written; reading it again gives the same claim."""
        relation = f"within {plain(self.tolerance)} of" if self.relation == "within" else self.relation
        return f"{self.left} {relation} {self.right}"


def _factor(factor: float) -> str:
    return "" if abs(factor) == 1 else f"{plain(abs(factor))} * "
