"""From stored rows to a study: the arms of an experiment with the curves that a figure reads."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.comparisons.arms import StoredArm, StoredTrial, stored_arms
from services.comparisons.service import Question, comparison
from services.db.tables import TrialRow
from services.experiments.service import get
from services.figures.layers import read_layers
from services.science.figures import ArmRuns, Part, Study
from services.science.figures.study import LayerWish
from services.science.grid import AXES, SEPARATOR, axis_names
from services.science.spec import Arm, ExperimentSpec
from services.trials.rows import TrialColumns, read_rows

Floats = NDArray[np.float64]


def load_study(
    session: Session,
    experiment_id: str,
    metrics: Collection[str] = (),
    parts: Collection[Part] = (),
    layers: Sequence[LayerWish] = (),
    question: Question | None = None,
) -> Study:
    """Read what figures need.

    Args:
        session: any session.
        experiment_id: whose.
        metrics: curves to read.
        parts: what else to read: the comparison that answers `question`.
        layers: which numbers of the layers to read.
        question: for the comparison; default: that of `Question`.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: a comparison is wanted and no trial is finished.
        NoFigureDataError: `layers` asks for an epoch or an arm that was not measured.
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
    arms = _arms(stored, metrics, columns, diverged)
    records, left_out = read_layers(session, experiment_id, arms, layers)
    return Study(
        name=experiment.name,
        dataset=experiment.dataset,
        task=spec.dataset.task,
        loss=str(experiment.spec.get("loss") or ""),
        epochs=experiment.epochs,
        arms=arms,
        varying=tuple(experiment.axes),
        standardized=spec.dataset.standardize,
        comparison=answer,
        diagnostics=records,
        layers_left_out=left_out,
    )


def _arms(
    stored: Sequence[StoredArm],
    metrics: Collection[str],
    columns: Mapping[str, TrialColumns],
    diverged: Mapping[str, int],
) -> tuple[ArmRuns, ...]:
    arms = [Arm.model_validate(one.arm) for one in stored]
    return tuple(
        _runs(one.trials, arm, names, metrics, columns, diverged)
        for one, arm, names in zip(stored, arms, axes_as_stored(stored, arms), strict=True)
    )


def axes_as_stored(stored: Sequence[StoredArm], arms: Sequence[Arm]) -> list[dict[str, str]]:
    """What each arm's axes are called, as its stored label calls them."""
    named = axis_names(arms)
    if all(
        set(one.trials[0].label.split(SEPARATOR)) <= set(own.values()) for one, own in zip(stored, named, strict=True)
    ):
        return named
    # Stored before a varied parameter was named where it has its default value.
    return [{axis: arm.shown([axis]) for axis in AXES} for arm in arms]


def _runs(
    trials: Sequence[StoredTrial],
    arm: Arm,
    axes: Mapping[str, str],
    metrics: Collection[str],
    columns: Mapping[str, TrialColumns],
    diverged: Mapping[str, int],
) -> ArmRuns:
    ids = [trial.id for trial in trials]
    found = {metric: _curves(ids, metric, columns) for metric in metrics}
    return ArmRuns(
        key=trials[0].arm_key,
        label=trials[0].label,
        axes=axes,
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
