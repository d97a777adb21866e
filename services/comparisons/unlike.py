"""In what experiments differ that are compared: what may be, but must not go unsaid."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.db.tables import ExperimentRow
from services.science.results import ExperimentResults

SPEC_FIELDS = {"model": "model", "loss": "loss"}
"""Fields of a spec that shape what an arm reaches and are none of its axes, with the words for them."""
ARM_AXES = ("activation", "initializer")
OTHER_AXES = {"optimizer": "optimizer", "batch_size": "batch size"}
"""Axes that an experiment often leaves at one value: two experiments may differ in them beside what is compared."""
MOST_LETTERS = 60
"""Of a value in a sentence."""
MOST_VALUES = 3
"""Of different values in a sentence."""


@dataclass(frozen=True)
class Unlike:
    """One thing in which the experiments differ beside their arms.

    Attributes:
        name: such as ``epochs``.
        values: what it is, in the experiments' order, each once.
    """

    name: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        """For a sentence: ``epochs (10 against 20)``."""
        listed = [value if len(value) <= MOST_LETTERS else f"{value[: MOST_LETTERS - 1]}…" for value in self.values]
        more = [f"{len(listed) - MOST_VALUES} more"] if len(listed) > MOST_VALUES else []
        return f"{self.name} ({' against '.join([*listed[:MOST_VALUES], *more])})"

    @property
    def warning(self) -> str:
        """The same as a sentence of its own."""
        return (
            f"the experiments differ in {self}: a difference between arms of different experiments may come from that"
        )


def unlike(rows: Sequence[ExperimentRow], results: Sequence[ExperimentResults]) -> list[Unlike]:
    """What differs between the experiments and is none of the axes on which their arms are compared.

    An optimizer or a batch size in which alone two experiments differ is what is compared; beside anything else that
    differs it is not. The same values in another order are no difference.

    Args:
        rows: the experiments, each once.
        results: their results, in the same order.
    """
    if len(rows) < 2:
        return []
    differing = [
        _differing("epochs", [row.epochs for row in rows]),
        *(_differing(words, [row.spec.get(name) for row in rows]) for name, words in SPEC_FIELDS.items()),
        *_data(rows),
    ]
    fixed = [one for one in differing if one is not None]
    axes = {name: [_levels(result, name) for result in results] for name in (*ARM_AXES, *OTHER_AXES)}
    different = {name for name, levels in axes.items() if len(set(levels)) > 1}
    beside = [
        Unlike(words, tuple(dict.fromkeys(axes[name])))
        for name, words in OTHER_AXES.items()
        if name in different and (fixed or different != {name})
    ]
    return [*fixed, *beside]


def _data(rows: Sequence[ExperimentRow]) -> Iterable[Unlike | None]:
    """Fields of the data set: those that `comparable` lets pass."""
    chosen = [row.spec.get("dataset") for row in rows]
    sets = [one if isinstance(one, Mapping) else {} for one in chosen]
    for name in dict.fromkeys(name for one in sets for name in one):
        yield _differing(f"dataset.{name}", [one.get(name) for one in sets])


def _differing(name: str, values: Sequence[Any]) -> Unlike | None:
    each = tuple(dict.fromkeys(_words(value) for value in values))
    return Unlike(name, each) if len(each) > 1 else None


def _levels(result: ExperimentResults, axis: str) -> str:
    """The values of an axis that an experiment's arms have."""
    return ", ".join(sorted({_words(arm.arm.get(axis)) for arm in result.arms}))


def _words(value: Any) -> str:
    """A value as it is said: a family member by its kind and its parameters."""
    if isinstance(value, Mapping):
        kind = value.get("kind")
        rest = {name: item for name, item in value.items() if name != "kind" and item is not None}
        inside = ", ".join(f"{name} {json.dumps(item, sort_keys=True, default=str)}" for name, item in rest.items())
        return f"{kind} with {inside}" if kind and inside else str(kind or inside)
    return "none" if value is None else str(value)
