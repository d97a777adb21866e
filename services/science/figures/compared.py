"""What figures read out of a comparison's answer."""

from collections.abc import Mapping
from typing import Any, Literal

from services.science.figures.base import NoFigureDataError, plural
from services.science.figures.study import Study
from services.science.figures.values import AT_WORDS

Point = Literal["final", "best", "auc"]

POINT_WORDS: Mapping[str, str] = {**AT_WORDS, "auc": "averaged over the epochs"}


def compared(study: Study) -> Mapping[str, Any]:
    """The study's comparison.

    Raises:
        NoFigureDataError: it has none, or no arm has a result.
    """
    comparison = study.comparison
    if comparison is None or not any(arm["n"] for arm in comparison["arms"]):
        raise NoFigureDataError("no trial is finished yet, so there is nothing to compare")
    return comparison


def diverged_sentence(study: Study) -> list[str]:
    """How many trials diverged, if any did, and how many have not finished."""
    lines: list[str] = []
    if study.diverged:
        lines.append(f"{study.diverged} of {plural(study.trials, 'trial')} diverged and are in no mean.")
    if study.unfinished:
        lines.append(f"{study.unfinished} of {plural(study.trials, 'trial')} have not finished and do not count.")
    return lines
