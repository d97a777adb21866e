"""The hypotheses of a spec, read and held against its grid."""

from services.science.claims.ast import ClaimError
from services.science.claims.binding import BoundClaim, Terms, bind
from services.science.claims.grammar import parse
from services.science.claims.metrics import claimable_metrics
from services.science.grid import Grid
from services.science.spec import ExperimentSpec


def unreadable_claims(spec: ExperimentSpec, grid: Grid) -> dict[int, str]:
    """What is wrong with the hypotheses of a spec, by their index; empty if nothing is."""
    terms = claim_terms(spec, grid)
    problems: dict[int, str] = {}
    for index, text in enumerate(spec.hypotheses):
        try:
            bind(parse(text), terms)
        except ClaimError as error:
            problems[index] = str(error)
    return problems


def bound_claims(spec: ExperimentSpec, grid: Grid) -> list[BoundClaim]:
    """The hypotheses of a checked spec.

    Raises:
        ClaimError: it was never checked.
    """
    terms = claim_terms(spec, grid)
    return [bind(parse(text), terms) for text in spec.hypotheses]


def claim_terms(spec: ExperimentSpec, grid: Grid) -> Terms:
    """What claims of this experiment can be made of."""
    return Terms(grid.arms, claimable_metrics(spec), spec.epochs)
