"""The claims of an experiment, answered from what it measured."""

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from services.db.tables import ExperimentRow
from services.errors import FieldProblem, InvalidInputError
from services.experiments.store import get
from services.results.loader import load_results
from services.results.stored_spec import stored_spec
from services.science.grid import expand
from services.science.hypotheses import BoundHypothesis, ClaimResults, HypothesisError, evaluate
from services.science.hypotheses.models import Test
from services.science.hypotheses.of_spec import bound_hypotheses
from services.science.results import CurveWish, ExperimentResults


@dataclass(frozen=True)
class HypothesisQuestion:
    """How sure an answer has to be, and by which test."""

    confidence: float = 0.95
    test: Test = "sign_flip"


@dataclass(frozen=True)
class StoredHypotheses:
    """What an experiment claims, bound to the arms with these keys, in the order of the grid."""

    claims: tuple[BoundHypothesis, ...]
    arms: tuple[str, ...]

    def curves(self) -> CurveWish:
        """The curves that the claims speak of."""
        spoken_of = {place for claim in self.claims for term in claim.terms for place in term.arms}
        return CurveWish(
            metrics=tuple(dict.fromkeys(metric for claim in self.claims for metric in claim.metrics)),
            finished=True,
            arms=frozenset(self.arms[place] for place in spoken_of),
        )


def claims(session: Session, experiment_id: str, question: HypothesisQuestion) -> ClaimResults:
    """Decide every claim of an experiment by the trials that are final.

    Raises:
        NotFoundError: no such experiment.
        InvalidInputError: a stored claim that this version does not understand.
    """
    experiment = get(session, experiment_id)
    stored = stored_hypotheses(experiment)
    return decide_hypotheses(stored, load_results(session, experiment, stored.curves()), question)


def stored_hypotheses(experiment: ExperimentRow) -> StoredHypotheses:
    """The hypotheses of a stored spec.

    Raises:
        InvalidInputError: one that this version does not understand.
    """
    spec = stored_spec(experiment)
    grid = expand(spec)
    try:
        bound = bound_hypotheses(spec, grid)
    except HypothesisError as error:
        raise _not_understood(str(error)) from error
    return StoredHypotheses(tuple(bound), tuple(arm.key() for arm in grid.arms))


def decide_hypotheses(
    stored: StoredHypotheses, results: ExperimentResults, question: HypothesisQuestion
) -> ClaimResults:
    """Decide claims by results that are loaded already, with the curves that the claims speak of.

    Raises:
        InvalidInputError: the results are of other arms than this version makes of the spec.
    """
    arms = {arm.key: arm for arm in results.arms}
    if stored.claims and not arms.keys() >= set(stored.arms):
        raise _not_understood("its arms are not those that are stored")
    in_order = replace(results, arms=tuple(arms[key] for key in stored.arms if key in arms))
    return evaluate(stored.claims, in_order, question.confidence, question.test)


def _not_understood(why: str) -> InvalidInputError:
    message = f"a stored claim cannot be decided by this version of the service: {why}"
    return InvalidInputError(message, [FieldProblem("/hypotheses", message)])
