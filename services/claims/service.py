"""The claims of an experiment, answered from what it measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import TrialRow
from services.errors import FieldProblem, InvalidInputError
from services.experiments.service import get
from services.science.claims import BoundClaim, ClaimData, ClaimError, ClaimResults, evaluate
from services.science.claims.models import Test
from services.science.claims.of_spec import bound_claims
from services.science.grid import Grid, expand
from services.science.spec import ExperimentSpec
from services.science.statistics.comparison_input import Outcome
from services.trials.rows import read_rows

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ClaimQuestion:
    """How sure an answer has to be, and by which test."""

    confidence: float = 0.95
    test: Test = "sign_flip"


def claims(session: Session, experiment_id: str, question: ClaimQuestion) -> ClaimResults:
    """Decide every claim of an experiment by the trials that are final.

    Raises:
        NotFoundError: no such experiment.
        InvalidInputError: a stored claim that this version does not understand.
    """
    experiment = get(session, experiment_id)
    spec = ExperimentSpec.model_validate(experiment.spec)
    grid = expand(spec)
    try:
        bound = bound_claims(spec, grid)
    except ClaimError as error:
        message = f"a stored claim cannot be decided by this version of the service: {error}"
        raise InvalidInputError(message, [FieldProblem("/hypotheses", message)]) from error
    data = _data(session, experiment_id, spec, grid, bound)
    return evaluate(bound, data, question.confidence, question.test)


def _data(session: Session, experiment_id: str, spec: ExperimentSpec, grid: Grid, bound: list[BoundClaim]) -> ClaimData:
    """Outcomes of all trials, and those curves that the claims speak of."""
    metrics = list(dict.fromkeys(metric for claim in bound for metric in claim.metrics))
    wanted = {arm for claim in bound for term in claim.terms for arm in term.arms}
    query = select(TrialRow.id, TrialRow.arm_key, TrialRow.label, TrialRow.seed, TrialRow.state)
    trials = session.execute(query.where(TrialRow.experiment_id == experiment_id)).all()
    # Seeds that came in later rounds are not in the spec's list, so the stored ones count.
    arms = {arm.key(): place for place, arm in enumerate(grid.arms)}
    seeds = {seed: place for place, seed in enumerate(sorted({trial.seed for trial in trials}))}
    shape = (len(arms), len(seeds))
    places: dict[str, tuple[int, int]] = {}
    outcomes = [[Outcome.MISSING] * shape[1] for _ in range(shape[0])]
    labels = list(grid.labels)
    for trial_id, arm_key, label, number, state in trials:
        arm, seed = arms[arm_key], seeds[number]
        # An arm keeps the name that it was stored with.
        labels[arm] = label
        if state == "succeeded":
            outcomes[arm][seed] = Outcome.FINISHED
            if arm in wanted:
                places[trial_id] = (arm, seed)
        elif state == "diverged":
            outcomes[arm][seed] = Outcome.DIVERGED
    curves: dict[str, Floats] = {name: np.full((*shape, spec.epochs + 1), np.nan) for name in metrics}
    if metrics:
        for trial_id, columns in read_rows(session, list(places), metrics=metrics).items():
            for name, values in columns.metrics.items():
                curves[name][(*places[trial_id], columns.epochs)] = values
    return ClaimData(labels, outcomes, curves, spec.epochs)
