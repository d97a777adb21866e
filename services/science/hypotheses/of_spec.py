"""The hypotheses of a spec, read and held against its grid."""

from services.science.grid import Grid
from services.science.hypotheses.ast import HypothesisError
from services.science.hypotheses.binding import BoundHypothesis, Terms, bind
from services.science.hypotheses.grammar import parse
from services.science.hypotheses.metrics import claimable_metrics
from services.science.spec import ExperimentSpec


def unreadable_hypotheses(spec: ExperimentSpec, grid: Grid, most: int) -> dict[int, str]:
    """What is wrong with hypotheses that cannot be read, by their index; after `most` of them no other is looked at."""
    terms = hypothesis_terms(spec, grid)
    problems: dict[int, str] = {}
    for index, text in enumerate(spec.hypotheses):
        try:
            bind(parse(text), terms)
        except HypothesisError as error:
            problems[index] = str(error)
            if len(problems) == most:
                break
    return problems


def bound_hypotheses(spec: ExperimentSpec, grid: Grid) -> list[BoundHypothesis]:
    """The hypotheses of a checked spec.

    Raises:
        HypothesisError: it was never checked.
    """
    terms = hypothesis_terms(spec, grid)
    return [bind(parse(text), terms) for text in spec.hypotheses]


def hypothesis_terms(spec: ExperimentSpec, grid: Grid) -> Terms:
    """What claims of this experiment can be made of."""
    return Terms(grid.arms, claimable_metrics(spec), spec.epochs)
