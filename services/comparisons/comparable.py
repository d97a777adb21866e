"""Whether experiments can be compared at all: their validation numbers must mean the same."""

from collections.abc import Sequence
from typing import Any

from services.db.tables import ExperimentRow
from services.errors import FieldProblem, InvalidInputError
from services.science.losses import OF_TASK

POINTER = "/experiments"
FREE = ("train_size",)
"""Fields of the data set in which experiments may differ: they change who trains, not what is measured."""


def check_comparable(experiments: Sequence[ExperimentRow], metric: str) -> None:
    """Refuse to compare experiments that were measured on other rows, in other units or by another loss.

    Raises:
        InvalidInputError: naming the first two experiments that differ, and in what.
    """
    first = experiments[0]
    for place, other in enumerate(experiments[1:], start=1):
        difference = _difference(first, other, metric)
        if difference is not None:
            message = f"{first.id} and {other.id} cannot be compared: {difference}"
            raise InvalidInputError(message, [FieldProblem(f"{POINTER}/{place}", message)])


def _difference(a: ExperimentRow, b: ExperimentRow, metric: str) -> str | None:
    """What makes the two incomparable, in words; None when nothing does."""
    ours, theirs = _dataset(a), _dataset(b)
    # A standardized target is measured in units of its spread over the training rows.
    scaled = a.spec.get("loss") not in OF_TASK["classification"] and ours.get("standardize", True)
    free = () if scaled else FREE
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in free and ours.get(name) != theirs.get(name):
            return f"dataset.{name} is {ours.get(name)!r} against {theirs.get(name)!r}"
    if a.dataset_digest and b.dataset_digest and a.dataset_digest != b.dataset_digest:
        return f"the data files were not the same (digest {a.dataset_digest[:12]} against {b.dataset_digest[:12]})"
    if metric.endswith("_loss") and a.spec.get("loss") != b.spec.get("loss"):
        return f"{metric} is {a.spec.get('loss')!r} against {b.spec.get('loss')!r}; choose another metric"
    return None


def _dataset(row: ExperimentRow) -> dict[str, Any]:
    chosen = row.spec.get("dataset")
    return chosen if isinstance(chosen, dict) else {"name": chosen}
