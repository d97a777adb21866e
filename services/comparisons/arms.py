"""The arms of stored experiments as the statistics want them: outcomes, curves and energy of every seed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import ExperimentRow, TrialRow
from services.errors import FieldProblem, InvalidInputError, NotFoundError
from services.science.statistics.comparison_input import ArmInput, EnergyInput, Outcome
from services.trials.rows import TrialColumns, read_rows

SHARE_RULE = "the energy of a cohort divided equally among its trials"
JOULES_PER_KWH = 3.6e6
AXES = ("activation", "initializer", "optimizer", "batch_size")
EXPERIMENT = "experiment"
"""The axis on which arms of several experiments differ when they are otherwise the same."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class StoredTrial:
    """One trial as far as a comparison looks at it."""

    id: str
    arm_key: str
    label: str
    arm: Mapping[str, Any]
    seed: int
    state: str
    joules: float | None
    energy_method: str | None


@dataclass(frozen=True)
class StoredArm:
    """An arm of one experiment with its trials in the order of the grid."""

    experiment: ExperimentRow
    trials: tuple[StoredTrial, ...]

    @property
    def arm(self) -> Mapping[str, Any]:
        """Every axis with its canonical value."""
        return self.trials[0].arm


def stored_arms(session: Session, experiment_id: str) -> list[StoredArm]:
    """The arms of one experiment in the order of the grid.

    Raises:
        NotFoundError: no such experiment.
    """
    experiment = session.get(ExperimentRow, experiment_id)
    if experiment is None:
        raise NotFoundError(f"there is no experiment {experiment_id[:60]!r}")
    query = (
        select(
            TrialRow.id,
            TrialRow.arm_key,
            TrialRow.label,
            TrialRow.arm,
            TrialRow.seed,
            TrialRow.state,
            TrialRow.energy_joules,
            TrialRow.energy_method,
        )
        .where(TrialRow.experiment_id == experiment_id)
        .order_by(TrialRow.position)
    )
    groups: dict[str, list[StoredTrial]] = {}
    for row in session.execute(query):
        trial = StoredTrial(*row)
        groups.setdefault(trial.arm_key, []).append(trial)
    return [StoredArm(experiment, tuple(trials)) for trials in groups.values()]


def arm_inputs(
    session: Session, arms: Sequence[StoredArm], metric: str, grams_per_kwh: float | None = None
) -> list[ArmInput]:
    """These arms with the curves of a metric and of its training counterpart.

    Args:
        session: any session.
        arms: of one or of several experiments; of several, each is named with its experiment.
        metric: such as ``val_loss``.
        grams_per_kwh: CO2 equivalent of the electricity; None leaves it out.

    Raises:
        InvalidInputError: no trial has this metric.
    """
    training = "train_" + metric.removeprefix("val_").removeprefix("train_")
    ids = [trial.id for arm in arms for trial in arm.trials if trial.state == "succeeded"]
    columns = read_rows(session, ids, metrics=[metric, training])
    if columns and not any(metric in found.metrics for found in columns.values()):
        raise _invalid("metric", f"these trials have no {metric!r}")
    axes, names = _axes(arms), _names(arms)
    return [_input(arm, columns, axes, names, (metric, training), grams_per_kwh) for arm in arms]


def _axes(arms: Sequence[StoredArm]) -> list[str]:
    """The axes on which the arms differ, all that they have when they do not, and their experiment where need be."""

    def values(names: Sequence[str]) -> list[str]:
        return [json.dumps([arm.arm.get(name) for name in names], sort_keys=True) for arm in arms]

    known = [name for name in AXES if any(name in arm.arm for arm in arms)]
    axes = [name for name in known if len(set(values([name]))) > 1]
    several = len({arm.experiment.id for arm in arms}) > 1
    if several and len(set(values(known))) < len(arms):
        return [*axes, EXPERIMENT]
    return axes or known


def _names(arms: Sequence[StoredArm]) -> dict[str, str]:
    """How to call each experiment: by its name where the names tell them apart, else by its id."""
    rows = {arm.experiment.id: arm.experiment for arm in arms}
    named = [row.name for row in rows.values() if row.name]
    distinct = len(set(named)) == len(rows)
    return {row.id: (row.name or row.id) if distinct else row.id for row in rows.values()}


def _input(
    arm: StoredArm,
    columns: Mapping[str, TrialColumns],
    axes: Sequence[str],
    names: Mapping[str, str],
    metrics: tuple[str, str],
    grams_per_kwh: float | None,
) -> ArmInput:
    metric, training = metrics
    trials, experiment = arm.trials, arm.experiment
    several = len(names) > 1
    has_training = any(training in columns[trial.id].metrics for trial in trials if trial.id in columns)
    return ArmInput(
        key=f"{experiment.id}: {trials[0].arm_key}" if several else trials[0].arm_key,
        label=f"{names[experiment.id]}: {trials[0].label}" if several else trials[0].label,
        arm={name: names[experiment.id] if name == EXPERIMENT else arm.arm.get(name) for name in axes},
        seeds=[trial.seed for trial in trials],
        outcomes=[_outcome(trial, columns, metric) for trial in trials],
        curve=_curves(trials, columns, experiment.epochs, metric),
        train_curve=_curves(trials, columns, experiment.epochs, training)
        if has_training and training != metric
        else None,
        energy=_energy(trials, grams_per_kwh),
    )


def _energy(trials: Sequence[StoredTrial], grams_per_kwh: float | None) -> EnergyInput | None:
    """Energy and CO2 equivalent of each trial; measured only where all of it was."""
    methods = [trial.energy_method or "" for trial in trials if trial.joules is not None]
    if not methods:
        return None
    joules = np.array([np.nan if trial.joules is None else trial.joules for trial in trials])
    grams = None if grams_per_kwh is None else joules / JOULES_PER_KWH * grams_per_kwh
    measured = all("measured" in method for method in methods)
    rule = f"{SHARE_RULE}; {', '.join(dict.fromkeys(methods))}"
    return EnergyInput(joules, grams, "measured" if measured else "estimated", rule)


def _outcome(trial: StoredTrial, columns: Mapping[str, TrialColumns], metric: str) -> Outcome:
    if trial.state == "diverged":
        return Outcome.DIVERGED
    found = columns.get(trial.id)
    return Outcome.FINISHED if trial.state == "succeeded" and found and metric in found.metrics else Outcome.MISSING


def _curves(trials: Sequence[StoredTrial], columns: Mapping[str, TrialColumns], epochs: int, metric: str) -> Floats:
    """The metric of each trial at each epoch, ``[trials, epochs + 1]``, NaN where there is no number."""
    table = np.full((len(trials), epochs + 1), np.nan)
    for row, trial in enumerate(trials):
        found = columns.get(trial.id)
        if found is not None and metric in found.metrics:
            table[row, found.epochs] = found.metrics[metric]
    return table


def _invalid(name: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"{name}: {message}", [FieldProblem(name, message)])
