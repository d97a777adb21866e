"""From results to a comparison: load the arms with their curves, and let the statistics answer what is asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from services.comparisons.arms import arm_inputs, training_counterpart
from services.comparisons.comparable import check_comparable
from services.comparisons.unlike import Unlike, unlike
from services.errors import ConflictError, FieldProblem, InvalidInputError
from services.experiments.store import get
from services.results.loader import load_results
from services.science.comparison.compare import compare
from services.science.comparison.input import ComparisonInput, pool_arms
from services.science.comparison.models import Comparison
from services.science.results import CurveWish, ExperimentResults, Outcome
from services.science.statistics.directions import metric_direction

MOST_REASONS = 3
"""Reasons of failures that a refusal tells; the experiment's trials have all of them."""


@dataclass(frozen=True)
class Question:
    """What is asked of one or several experiments."""

    metric: str = "val_loss"
    at: Literal["final", "best", "auc"] = "final"
    confidence: float = 0.95
    method: Literal["t", "bca"] = "t"
    by: tuple[str, ...] = ()
    threshold: float | None = None

    def metrics(self) -> tuple[str, ...]:
        """Metrics whose curves an answer reads."""
        return tuple(dict.fromkeys((self.metric, training_counterpart(self.metric))))


def comparison(
    session: Session, experiment_ids: Sequence[str], question: Question, grams_per_kwh: float | None = None
) -> Comparison:
    """Compare the arms of the experiments.

    Arms of several experiments stand side by side, each named with its experiment; seeds are paired where both have
    them.

    Args:
        session: any session.
        experiment_ids: at least one.
        question: what is asked.
        grams_per_kwh: CO2 equivalent of the electricity; None leaves it out.

    Raises:
        NotFoundError: an experiment that is not there.
        InvalidInputError: no such metric or axis, or experiments that were not measured alike.
        ConflictError: no trial is finished yet, or none ever will be.
    """
    _check_metric(question)
    experiments = [get(session, experiment_id) for experiment_id in experiment_ids]
    check_comparable(list(dict.fromkeys(experiments)), question.metric)
    curves = CurveWish(question.metrics(), finished=True)
    results = [load_results(session, row, curves) for row in experiments]
    return compare_results(results, question, grams_per_kwh, unlike(experiments, results))


def compare_results(
    experiments: Sequence[ExperimentResults],
    question: Question,
    grams_per_kwh: float | None = None,
    differences: Sequence[Unlike] = (),
) -> Comparison:
    """Compare the arms of experiments that are loaded already, with the curves of the question's metrics.

    Args:
        experiments: whose arms are compared.
        question: what is asked.
        grams_per_kwh: CO2 equivalent of the electricity; None leaves it out.
        differences: in what the experiments differ beside their arms; the answer names it.

    Raises:
        InvalidInputError: no such metric or axis.
        ConflictError: no trial is finished yet, or none ever will be.
    """
    _check_metric(question)
    arms = arm_inputs(experiments, question.metric, grams_per_kwh)
    if not any(outcome is not Outcome.MISSING for arm in arms for outcome in arm.outcomes):
        raise ConflictError(_nothing_finished(experiments))
    if question.by:
        try:
            arms = pool_arms(arms, question.by)
        except ValueError as error:
            raise _invalid("by", str(error).removeprefix("by: ")) from None
    return compare(
        ComparisonInput(
            metric=question.metric,
            arms=arms,
            at=question.at,
            confidence=question.confidence,
            ci_method=question.method,
            threshold=question.threshold,
            unlike=[str(one) for one in differences],
            warnings=[one.warning for one in differences],
        )
    )


def _nothing_finished(experiments: Sequence[ExperimentResults]) -> str:
    """Why there is nothing to compare: it is too early, or too late."""
    if any(experiment.unfinished for experiment in experiments):
        return "no trial is finished yet, so there is nothing to compare; follow the events and ask again"
    counts = Counter[str]()
    for experiment in experiments:
        counts.update(experiment.state_counts)
    ended = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    reasons = Counter(
        trial.error or "no reason is stored" for experiment in experiments for _, trial in experiment.failures
    )
    why = "; ".join(f"{count} times: {reason}" for reason, count in reasons.most_common(MOST_REASONS))
    return f"no trial finished and none will ({ended}), so there is nothing to compare" + (f". {why}" if why else "")


def _check_metric(question: Question) -> None:
    try:
        metric_direction(question.metric)
    except ValueError as error:
        raise _invalid("metric", str(error)) from None


def _invalid(name: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"{name}: {message}", [FieldProblem(name, message)])
