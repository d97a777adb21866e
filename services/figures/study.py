"""From stored rows to a study: the arms of an experiment with the curves that a figure reads."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.comparisons.arms import StoredArm, stored_arms
from services.comparisons.service import Question, comparison
from services.db.tables import DiagnosticRow, TrialRow
from services.experiments.service import get
from services.science.figures import ArmRuns, LayerRecord, Part, Study
from services.science.grid import AXES
from services.science.spec import Arm, ExperimentSpec
from services.trials.rows import TrialColumns, read_rows

Floats = NDArray[np.float64]


def load_study(
    session: Session,
    experiment_id: str,
    metrics: Collection[str] = (),
    parts: Collection[Part] = (),
    question: Question | None = None,
) -> Study:
    """Read what figures need.

    Args:
        session: any session.
        experiment_id: whose.
        metrics: curves to read.
        parts: what else to read: the comparison that answers `question`, the layers' diagnostics.
        question: for the comparison; default: that of `Question`.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: a comparison is wanted and no trial is finished.
    """
    experiment = get(session, experiment_id)
    spec = ExperimentSpec.model_validate(experiment.spec)
    stored = stored_arms(session, experiment_id)
    trials = [trial for arm in stored for trial in arm.trials]
    columns = read_rows(session, [trial.id for trial in trials], metrics=list(metrics)) if metrics else {}
    diverged = {
        trial_id: int(found["epoch"])
        for trial_id, found in session.execute(
            select(TrialRow.id, TrialRow.diverged).where(
                TrialRow.experiment_id == experiment_id, TrialRow.state == "diverged"
            )
        )
        if found
    }
    answer = None
    if "comparison" in parts:
        answer = comparison(session, [experiment_id], question or Question()).model_dump(mode="json")
    return Study(
        name=experiment.name,
        dataset=experiment.dataset,
        task=spec.dataset.task,
        loss=str(experiment.spec.get("loss") or ""),
        epochs=experiment.epochs,
        arms=tuple(_runs(arm, metrics, columns, diverged) for arm in stored),
        varying=tuple(experiment.axes),
        standardized=spec.dataset.standardize,
        comparison=answer,
        diagnostics=_layers(session, stored) if "diagnostics" in parts else (),
    )


def _runs(
    stored: StoredArm, metrics: Collection[str], columns: Mapping[str, TrialColumns], diverged: Mapping[str, int]
) -> ArmRuns:
    trials = stored.trials
    arm = Arm.model_validate(stored.arm)
    ids = [trial.id for trial in trials]
    found = {metric: _curves(ids, metric, columns) for metric in metrics}
    return ArmRuns(
        key=trials[0].arm_key,
        label=trials[0].label,
        axes={axis: arm.shown([axis]) for axis in AXES},
        seeds=tuple(trial.seed for trial in trials),
        states=tuple(trial.state for trial in trials),
        curves={metric: curve for metric, curve in found.items() if curve is not None},
        diverged_at=tuple(diverged.get(trial_id) for trial_id in ids),
        joules=np.array([np.nan if trial.joules is None else trial.joules for trial in trials], dtype=np.float64),
        members={"activation": arm.activation, "initializer": arm.initializer},
    )


def _curves(ids: Sequence[str], metric: str, columns: Mapping[str, TrialColumns]) -> Floats | None:
    """The metric of these trials, ``[trials, epochs + 1]`` up to the last epoch that any of them has."""
    known = [columns[trial_id] for trial_id in ids if trial_id in columns and metric in columns[trial_id].metrics]
    if not known:
        return None
    table = np.full((len(ids), 1 + max(int(found.epochs[-1]) for found in known)), np.nan)
    for row, trial_id in enumerate(ids):
        found = columns.get(trial_id)
        if found is not None and metric in found.metrics:
            table[row, found.epochs] = found.metrics[metric]
    return table


def _layers(session: Session, stored: Sequence[StoredArm]) -> tuple[LayerRecord, ...]:
    """What was kept of the layers of each arm's first trial that finished, or of its first one."""
    chosen = {}
    for arm in stored:
        trial = next((trial for trial in arm.trials if trial.state == "succeeded"), arm.trials[0])
        chosen[trial.id] = trial
    query = (
        select(DiagnosticRow)
        .where(DiagnosticRow.trial_id.in_(chosen))
        .order_by(DiagnosticRow.trial_id, DiagnosticRow.epoch, DiagnosticRow.layer_index)
    )
    return tuple(
        LayerRecord(
            arm_key=chosen[row.trial_id].arm_key,
            seed=chosen[row.trial_id].seed,
            epoch=row.epoch,
            layer=row.layer,
            layer_index=row.layer_index,
            values=row.values,
        )
        for row in session.scalars(query)
    )
