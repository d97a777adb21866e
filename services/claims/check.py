"""The hypotheses of a spec, read and held against its grid before anything is stored."""

from services.errors import FieldProblem
from services.experiments.problems import MOST_PROBLEMS, left_out
from services.science.claims import BoundClaim, ClaimError, Terms, bind, parse
from services.science.claims.metrics import claimable_metrics
from services.science.grid import Grid
from services.science.spec import ExperimentSpec


def claim_problems(spec: ExperimentSpec, grid: Grid) -> list[FieldProblem]:
    """What is wrong with the hypotheses of a spec, each with its pointer; empty if nothing is."""
    terms = claim_terms(spec, grid)
    problems: list[FieldProblem] = []
    for index, text in enumerate(spec.hypotheses):
        try:
            bind(parse(text), terms)
        except ClaimError as error:
            problems.append(FieldProblem(f"/hypotheses/{index}", str(error)))
            if len(problems) == MOST_PROBLEMS:
                return [*problems, *left_out(len(spec.hypotheses) - index - 1)]
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
