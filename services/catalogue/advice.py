"""Recommendations by names, as clients ask for them."""

from functools import lru_cache
from typing import Literal

from services.catalogue.families import find
from services.science.activations import ACTIVATIONS, ALIASES
from services.science.recommendations import Recommendation, recommend


@lru_cache(maxsize=256)
def recommendations(
    task: Literal["binary", "multiclass", "classification", "regression"], depth: int, activation: str | None
) -> tuple[Recommendation, ...]:
    """Ranked choices. Theory takes seconds for two hundred layers, so the answers are kept.

    Raises:
        NotFoundError: no such activation.
    """
    member = None
    if activation is not None:
        kind = ALIASES.get(activation, activation)
        member = find(ACTIVATIONS, kind, "activation").model_validate({"kind": kind})
    return tuple(recommend("multiclass" if task == "classification" else task, depth, member))
