"""Recommendations by names, as clients ask for them."""

from typing import Literal

from services.catalogue.families import find
from services.science.activations import ACTIVATIONS, ALIASES
from services.science.recommendations import Recommendation, recommend


def recommendations(
    task: Literal["binary", "multiclass", "classification", "regression"], depth: int, activation: str | None
) -> list[Recommendation]:
    """Ranked choices.

    Raises:
        NotFoundError: no such activation.
    """
    member = None
    if activation is not None:
        kind = ALIASES.get(activation, activation)
        member = find(ACTIVATIONS, kind, "activation").model_validate({"kind": kind})
    return recommend("multiclass" if task == "classification" else task, depth, member)
