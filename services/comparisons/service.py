"""From stored rows to a comparison: load the arms with their curves, and let the statistics answer what is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import ExperimentRow, TrialRow
from services.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from services.science.statistics.comparison import compare
from services.science.statistics.comparison_input import ArmInput, ComparisonInput, EnergyInput, Outcome, pool_arms
from services.science.statistics.comparison_models import Comparison
from services.science.statistics.directions import metric_direction
from services.trials.rows import TrialColumns, read_rows

SHARE_RULE = "the energy of a cohort divided equally among its trials"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What is asked of one or several experiments."""

    metric: str = "val_loss"
    at: Literal["final", "best", "auc"] = "final"
    confidence: float = 0.95
    method: Literal["t", "bca"] = "t"
    by: tuple[str, ...] = ()
    threshold: float | None = None


def comparison(session: Session, experiment_ids: Sequence[str], question: Question) -> Comparison:
    """Compare the arms of the experiments.

    Arms of several experiments stand side by side, each named with its experiment; seeds are paired where both have
    them.

    Raises:
        NotFoundError: an experiment that is not there.
        InvalidInputError: a metric or an axis that these experiments do not have.
        ConflictError: no trial is finished yet.
    """
    try:
        metric_direction(question.metric)
    except ValueError as error:
        raise _invalid("metric", str(error)) from None
    several = len(experiment_ids) > 1
    arms: list[ArmInput] = []
    for experiment_id in experiment_ids:
        arms += arm_inputs(session, experiment_id, question.metric, prefix=f"{experiment_id}: " if several else "")
    if not any(outcome is not Outcome.MISSING for arm in arms for outcome in arm.outcomes):
        raise ConflictError("no trial is finished yet, so there is nothing to compare; follow the events and ask again")
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
        )
    )


def arm_inputs(session: Session, experiment_id: str, metric: str, prefix: str = "") -> list[ArmInput]:
    """The arms of one experiment with the curves of a metric, in the order of the grid.

    Raises:
        NotFoundError: no such experiment.
        InvalidInputError: its trials have no such metric.
    """
    experiment = session.get(ExperimentRow, experiment_id)
    if experiment is None:
        raise NotFoundError(f"there is no experiment {experiment_id[:60]!r}")
    query = select(TrialRow).where(TrialRow.experiment_id == experiment_id).order_by(TrialRow.position)
    trials = session.scalars(query).all()
    training = "train_" + metric.removeprefix("val_").removeprefix("train_")
    columns = read_rows(session, [trial.id for trial in trials], metrics=[metric, training])
    if columns and not any(metric in found.metrics for found in columns.values()):
        raise _invalid("metric", f"these trials have no {metric!r}")
    groups: dict[str, list[TrialRow]] = {}
    for trial in trials:
        groups.setdefault(trial.arm_key, []).append(trial)
    axes = experiment.axes
    return [_arm(members, columns, experiment.epochs, axes, metric, training, prefix) for members in groups.values()]


def _arm(
    trials: Sequence[TrialRow],
    columns: dict[str, TrialColumns],
    epochs: int,
    axes: Sequence[str],
    metric: str,
    training: str,
    prefix: str,
) -> ArmInput:
    first = trials[0]
    names = list(axes) or list(first.arm)
    known = [trial.energy_joules is not None for trial in trials]
    energy = None
    if any(known):
        measured = all("measured" in (trial.energy_method or "") for trial in trials if trial.energy_joules is not None)
        joules = np.array([np.nan if t.energy_joules is None else t.energy_joules for t in trials])
        energy = EnergyInput(joules, None, "measured" if measured else "estimated", SHARE_RULE)
    has_training = any(training in columns[trial.id].metrics for trial in trials if trial.id in columns)
    return ArmInput(
        key=prefix + first.arm_key,
        label=prefix + first.label,
        arm={name: first.arm[name] for name in names},
        seeds=[trial.seed for trial in trials],
        outcomes=[_outcome(trial, columns, metric) for trial in trials],
        curve=_curves(trials, columns, epochs, metric),
        train_curve=_curves(trials, columns, epochs, training) if has_training and training != metric else None,
        energy=energy,
    )


def _outcome(trial: TrialRow, columns: dict[str, TrialColumns], metric: str) -> Outcome:
    if trial.state == "diverged":
        return Outcome.DIVERGED
    found = columns.get(trial.id)
    return Outcome.FINISHED if trial.state == "succeeded" and found and metric in found.metrics else Outcome.MISSING


def _curves(trials: Sequence[TrialRow], columns: dict[str, TrialColumns], epochs: int, metric: str) -> Floats:
    """The metric of each trial at each epoch, ``[trials, epochs + 1]``, NaN where there is no number."""
    table = np.full((len(trials), epochs + 1), np.nan)
    for row, trial in enumerate(trials):
        found = columns.get(trial.id)
        if found is not None and metric in found.metrics:
            table[row, found.epochs] = found.metrics[metric]
    return table


def _invalid(name: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"{name}: {message}", [FieldProblem(name, message)])
