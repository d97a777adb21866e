"""Hold a claim against the grid it is made about: every metric must be measured, every name must select an arm."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.science.activations import ALIASES as ACTIVATION_ALIASES
from services.science.base import Member
from services.science.grid import AXES, axis_names
from services.science.hypotheses.ast import Hypothesis, HypothesisError, Item, Quantity, Sum, plain
from services.science.hypotheses.metrics import training_metric
from services.science.initializers import ALIASES as INITIALIZER_ALIASES
from services.science.nearest import nearest
from services.science.spec import Arm

ALIASES = {"activation": ACTIVATION_ALIASES, "initializer": INITIALIZER_ALIASES}


@dataclass(frozen=True)
class Terms:
    """What claims of one experiment can be made of."""

    arms: Sequence[Arm]
    metrics: Sequence[str]
    epochs: int


@dataclass(frozen=True)
class BoundTerm:
    """A quantity with its signed factor, as it stands on the left side, and the arms it speaks of."""

    factor: float
    quantity: Quantity
    arms: tuple[int, ...]


@dataclass(frozen=True)
class BoundHypothesis:
    """A claim that fits its experiment: `sum(factor * quantity) + constant` against zero."""

    claim: Hypothesis
    terms: tuple[BoundTerm, ...]
    constant: float

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns it needs."""
        columns: list[str] = []
        for term in self.terms:
            if term.quantity.metric:
                columns.append(term.quantity.metric)
            if term.quantity.statistic == "gap":
                columns.append(training_metric(term.quantity.metric))
        return tuple(dict.fromkeys(columns))


def bind(claim: Hypothesis, terms: Terms) -> BoundHypothesis:
    """Check a claim against an experiment and find its arms.

    Raises:
        HypothesisError: an unknown metric, an epoch that is not run, a name without an arm, a claim about nothing.
    """
    bound = [*_bound(claim.left, 1.0, terms), *_bound(claim.right, -1.0, terms)]
    weights: dict[tuple[object, ...], float] = {}
    for term in bound:
        key = (
            *(getattr(term.quantity, name) for name in ("statistic", "metric", "at", "threshold", "at_least")),
            term.arms,
            term.quantity.selector.pick,
        )
        weights[key] = weights.get(key, 0.0) + term.factor
    if not any(weights.values()):
        raise HypothesisError("both sides are the same quantity of the same arms: there is nothing to find out", 0)
    constant = claim.left.constant - claim.right.constant
    _check_horizon(claim, bound, constant, terms)
    return BoundHypothesis(claim, tuple(bound), constant)


def _bound(side: Sum, sign: float, terms: Terms) -> list[BoundTerm]:
    bound: list[BoundTerm] = []
    for term in side.terms:
        _check_metric(term.quantity, terms)
        bound.append(BoundTerm(sign * term.factor, term.quantity, select(term.quantity, terms.arms)))
    return bound


def select(quantity: Quantity, arms: Sequence[Arm]) -> tuple[int, ...]:
    """Positions of the arms that a quantity's selector means.

    Raises:
        HypothesisError: a name that is nowhere in the grid, or no arm that has them all.
    """
    indices_by_axis: dict[str, set[int]] = {}
    for item in quantity.selector.items:
        axis = _axis(item, arms)
        meant = {index for index, arm in enumerate(arms) if _matches(item, axis, arm)}
        exact = {index for index in meant if _is_label(item, getattr(arms[index], axis))}
        indices_by_axis.setdefault(axis, set()).update(meant if item.every else exact or meant)
    matches = tuple(
        index for index in range(len(arms)) if all(index in allowed for allowed in indices_by_axis.values())
    )
    if not matches:
        raise HypothesisError(f"no arm of this experiment is {quantity.selector}", quantity.selector.position)
    return matches


def _axis(item: Item, arms: Sequence[Arm]) -> str:
    """The axis that an item's name is found on."""
    axes = [axis for axis in (AXES if item.axis is None else (item.axis,)) if axis != "batch_size" or item.axis]
    matches = [axis for axis in axes if any(_matches(item, axis, arm) for arm in arms)]
    if not matches:
        spelled = ALIASES.get(item.axis or "", {}).get(item.name, item.name)
        axes_by_arm = axis_names(arms)
        legal = {
            axis: _distinct(own[axis] for own in axes_by_arm) for axis in (AXES if item.axis is None else (item.axis,))
        }
        names = [name for entries in legal.values() for name in entries]
        close = nearest(spelled, names)
        hint = f"did you mean {close!r}? " if close else ""
        listed = "; ".join(f"{axis}: {', '.join(entries)}" for axis, entries in legal.items())
        raise HypothesisError(
            f"no arm of this experiment has {str(item)!r}; {hint}its arms have {listed}", item.position
        )
    if len(matches) > 1:
        ways = " or ".join(f"{axis}={item.name}" for axis in matches)
        raise HypothesisError(f"{item.name!r} can mean two things here: write {ways}", item.position)
    return matches[0]


def _matches(item: Item, axis: str, arm: Arm) -> bool:
    value = getattr(arm, axis)
    if not isinstance(value, Member):
        return item.axis == axis and item.name == str(value)
    if ALIASES.get(axis, {}).get(item.name, item.name) != value.kind:
        return False
    return all(hasattr(value, name) and _text(getattr(value, name)) == text for name, text in item.parameters)


def _is_label(item: Item, value: object) -> bool:
    """Whether the item names every parameter that differs from its default, and no other.

    Labels also name a parameter in which arms differ, default or not. That needs no care here: with all of those named
    no second arm matches.
    """
    if not isinstance(value, Member):
        return True
    fields = type(value).model_fields
    changed = {name for name, own in value if name != "kind" and own != fields[name].default}
    return changed == {name for name, _ in item.parameters}


def _text(value: object) -> str:
    """A parameter's value as a claim writes it."""
    if isinstance(value, Member):
        return value.label().replace(" ", "").replace(",", ", ")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain(value)
    return str(value).lower()


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _check_metric(quantity: Quantity, terms: Terms) -> None:
    metric, place = quantity.metric, quantity.position
    if quantity.statistic != "diverged" and metric not in terms.metrics:
        close = nearest(metric, terms.metrics)
        hint = f"did you mean {close!r}? " if close else ""
        legal = ", ".join(terms.metrics)
        reason = f"unknown metric {metric!r}; {hint}this experiment measures {legal}; there are also "
        raise HypothesisError(f"{reason}spread, gap, jumpiness, diverged and epochs_to", place)
    if isinstance(quantity.at, int):
        first = 1 if metric.startswith("train_") or quantity.statistic == "gap" else 0
        if not first <= quantity.at <= terms.epochs:
            raise HypothesisError(
                f"epoch {quantity.at} is not measured; {metric} runs from {first} to {terms.epochs}", place
            )
    if quantity.statistic == "jumpiness" and quantity.at != "final":
        raise HypothesisError("jumpiness is of a whole run: leave the epoch out", place)
    if quantity.statistic == "gap" and not (metric.startswith("val_") and training_metric(metric) in terms.metrics):
        legal = [name for name in terms.metrics if name.startswith("val_") and training_metric(name) in terms.metrics]
        raise HypothesisError(f"{metric!r} has no gap; validation and training both measure {', '.join(legal)}", place)


def _check_horizon(claim: Hypothesis, bound: Sequence[BoundTerm], constant: float, terms: Terms) -> None:
    """A single time held against more epochs than are run can only be guessed at."""
    if len(bound) != 1 or bound[0].quantity.statistic != "epochs_to":
        return
    bound_at = -constant / bound[0].factor + (claim.tolerance / abs(bound[0].factor))
    if bound_at > terms.epochs:
        reason = f"the experiment runs {terms.epochs} epochs, which cannot decide a time of {bound_at:g}"
        raise HypothesisError(reason, bound[0].quantity.position)
