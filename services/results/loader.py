"""The one reader of stored results: trials, curves, energies and failures, once, as science takes them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from services.db.tables import ExperimentRow, TrialRow
from services.science.results import ArmResults, CurveWish, ExperimentResults, TrialResult
from services.trials.rows import TrialColumns, read_rows

NO_CURVES = CurveWish()


def load_results(session: Session, experiment: ExperimentRow, curves: CurveWish = NO_CURVES) -> ExperimentResults:
    """Read what an experiment measured, as far as it is done: one SELECT for its trials, and the curves wished for."""
    arms = read_arms(session, TrialRow.experiment_id == experiment.id)
    return ExperimentResults(
        id=experiment.id,
        name=experiment.name,
        epochs=experiment.epochs,
        arms=tuple(_with_curves(session, arms, curves)),
    )


def read_arms(session: Session, *which: ColumnElement[bool]) -> list[ArmResults]:
    """The arms of these trials, each with its trials, in the order of the grid and without curves.

    Args:
        session: any session.
        which: clauses over `TrialRow`. Arms of several experiments are never taken for one.
    """
    query = (
        select(
            TrialRow.experiment_id,
            TrialRow.arm_key,
            TrialRow.label,
            TrialRow.arm,
            TrialRow.id,
            TrialRow.seed,
            TrialRow.state,
            TrialRow.position,
            TrialRow.epochs_done,
            TrialRow.energy_joules,
            TrialRow.energy_method,
            TrialRow.diverged,
            TrialRow.error,
            TrialRow.final,
        )
        .where(*which)
        .order_by(TrialRow.position, TrialRow.id)
    )
    arms: dict[tuple[str, str], ArmResults] = {}
    trials: dict[tuple[str, str], list[TrialResult]] = defaultdict(list)
    for row in session.execute(query):
        place = (row.experiment_id, row.arm_key)
        if place not in arms:
            arms[place] = ArmResults(row.arm_key, row.label, (), row.arm)
        trials[place].append(_trial(row))
    return [replace(arm, trials=tuple(trials[place])) for place, arm in arms.items()]


def _trial(row: Any) -> TrialResult:
    divergence = (row.diverged or {}) if row.state == "diverged" else {}
    reason = row.error or {}
    return TrialResult(
        id=row.id,
        seed=row.seed,
        state=row.state,
        position=row.position,
        epochs_done=row.epochs_done,
        joules=row.energy_joules,
        energy_method=row.energy_method,
        diverged_at=divergence.get("epoch"),
        diverged_in=divergence.get("layer"),
        error=reason.get("detail") or reason.get("code"),
        final=row.final or {},
    )


def _with_curves(session: Session, arms: Sequence[ArmResults], wish: CurveWish) -> list[ArmResults]:
    ids = [trial.id for arm in arms for trial in wish.of(arm)]
    if not ids:
        return list(arms)
    columns = read_rows(session, ids, metrics=wish.metrics)
    return [replace(arm, curves=_curves(arm, columns, wish.metrics)) for arm in arms]


def _curves(
    arm: ArmResults, columns: Mapping[str, TrialColumns], metrics: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    curves: dict[str, NDArray[np.float64]] = {}
    for metric in metrics:
        trials = {
            row: columns[trial.id]
            for row, trial in enumerate(arm.trials)
            if trial.id in columns and metric in columns[trial.id].metrics
        }
        if trials:
            table = np.full((len(arm.trials), 1 + max(int(one.epochs[-1]) for one in trials.values())), np.nan)
            for row, one in trials.items():
                table[row, one.epochs] = one.metrics[metric]
            curves[metric] = table
    return curves
