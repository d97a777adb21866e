"""Predicted beside measured: how the untrained networks of past experiments compare with what theory expected of them.

Measured are the diagnostics of epoch 0; the expectation stands beside them (`predicted_second_moment`,
`predicted_backward_ratio`). A ratio is measured over predicted; 1 is a perfect prediction.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import DiagnosticRow, ExperimentRow, TrialRow
from services.results.layer_loader import untrained_layers
from services.results.loader import load_results, read_arms
from services.science.results import ArmResults, LayerRecord

MOST_TRIALS = 1_000
"""The scorecard looks at so many of the newest measured trials."""
NUMBERS = (
    "predicted_second_moment",
    "pre_activation_mean",
    "pre_activation_variance",
    "predicted_backward_ratio",
    "backward_second_moment",
)


class Score(BaseModel):
    """How good the predictions of one quantity were, over all layers of all trials."""

    n: int = Field(description="Layers with a measured and a predicted number above 0.")
    bias: float | None = Field(description="Geometric mean of measured over predicted; 1 is no bias.")
    typical_factor: float | None = Field(description="Half of the layers are within this factor of the prediction.")
    within_ten_percent: float | None = Field(description="Share of the layers.")
    within_factor_two: float | None = Field(description="Share of the layers.")


class ScoreRow(BaseModel):
    """One activation with one initializer."""

    activation: str
    initializer: str
    trials: int
    forward: Score = Field(description="Second moment of the pre-activations.")
    backward: Score = Field(description="Mean square of the gradient at a layer over that at the output.")


class Scorecard(BaseModel):
    """All of them, and each pair of activation and initializer by name."""

    trials: int
    forward: Score
    backward: Score
    rows: list[ScoreRow]


class LayerCheck(BaseModel):
    """One layer of one arm: geometric means over its trials."""

    layer: str
    layer_index: int
    predicted_second_moment: float | None
    measured_second_moment: float | None
    measured_spread: float | None = Field(description="Standard deviation of its logarithm between seeds.")
    predicted_backward_ratio: float | None
    measured_backward_ratio: float | None


class ArmCheck(BaseModel):
    """One arm of an experiment, layer by layer."""

    arm_key: str
    label: str
    trials: int
    layers: list[LayerCheck]


class ExperimentCheck(BaseModel):
    """Predicted and measured numbers of an experiment's untrained networks."""

    arms: list[ArmCheck]


@dataclass
class _Layer:
    """One measured layer of one trial; NaN where there is no number."""

    name: str
    index: int
    predicted: float
    measured: float
    predicted_backward: float
    measured_backward: float


@dataclass
class _Trial:
    """One untrained network with its layers."""

    arm: ArmResults
    layers: list[_Layer]


def scorecard(session: Session) -> Scorecard:
    """How the predictions for the newest trials with diagnostics have held."""
    measured = (
        select(DiagnosticRow.trial_id)
        .join(TrialRow, TrialRow.id == DiagnosticRow.trial_id)
        .join(ExperimentRow, ExperimentRow.id == TrialRow.experiment_id)
        .where(DiagnosticRow.epoch == 0, DiagnosticRow.layer_index == 0)
        .order_by(ExperimentRow.created_at.desc(), TrialRow.position)
        .limit(MOST_TRIALS)
    )
    trials = _trials(session, read_arms(session, TrialRow.id.in_(measured)))
    groups: dict[tuple[str, str], list[_Trial]] = defaultdict(list)
    for trial in trials:
        groups[trial.arm.arm["activation"]["kind"], trial.arm.arm["initializer"]["kind"]].append(trial)
    return Scorecard(
        trials=len(trials),
        forward=_forward(trials),
        backward=_backward(trials),
        rows=[
            ScoreRow(
                activation=activation,
                initializer=initializer,
                trials=len(members),
                forward=_forward(members),
                backward=_backward(members),
            )
            for (activation, initializer), members in sorted(groups.items())
        ],
    )


def experiment_check(session: Session, experiment: ExperimentRow) -> ExperimentCheck:
    """Predicted and measured numbers of each arm of an experiment, in the order of the grid."""
    groups: dict[str, list[_Trial]] = defaultdict(list)
    for trial in _trials(session, load_results(session, experiment).arms):
        groups[trial.arm.key].append(trial)
    return ExperimentCheck(
        arms=[
            ArmCheck(
                arm_key=key,
                label=members[0].arm.label,
                trials=len(members),
                layers=[_check([trial.layers[place] for trial in members]) for place in range(len(members[0].layers))],
            )
            for key, members in groups.items()
        ]
    )


def _trials(session: Session, arms: Sequence[ArmResults]) -> list[_Trial]:
    """The trials of these arms whose untrained layers were measured, in the order in which they were planned."""
    layers = untrained_layers(session, arms, NUMBERS)
    every = [(trial, arm) for arm in arms for trial in arm.trials if trial.id in layers]
    every.sort(key=lambda one: (one[0].position, one[0].id))
    return [_Trial(arm, _layers(layers[trial.id])) for trial, arm in every]


def _layers(records: Sequence[LayerRecord]) -> list[_Layer]:
    layers: list[_Layer] = []
    numbers = [[math.nan if (x := record.values[name]) is None else float(x) for name in NUMBERS] for record in records]
    output = numbers[-1][-1]
    for record, (predicted, mean, variance, backward, gradient) in zip(records, numbers, strict=True):
        ratio = gradient / output if output > 0 else math.nan
        layers.append(_Layer(record.layer, record.layer_index, predicted, variance + mean**2, backward, ratio))
    return layers


def _forward(trials: Iterable[_Trial]) -> Score:
    return _score([(layer.measured, layer.predicted) for trial in trials for layer in trial.layers])


def _backward(trials: Iterable[_Trial]) -> Score:
    # The output layer is the unit of the others and 1 by definition.
    return _score(
        [(layer.measured_backward, layer.predicted_backward) for trial in trials for layer in trial.layers[:-1]]
    )


def _score(pairs: Sequence[tuple[float, float]]) -> Score:
    logs = np.array([math.log(measured / predicted) for measured, predicted in pairs if measured > 0 and predicted > 0])
    if logs.size == 0:
        return Score(n=0, bias=None, typical_factor=None, within_ten_percent=None, within_factor_two=None)
    return Score(
        n=logs.size,
        bias=float(np.exp(logs.mean())),
        typical_factor=float(np.exp(np.median(np.abs(logs)))),
        within_ten_percent=float(np.mean(np.abs(logs) <= math.log(1.1))),
        within_factor_two=float(np.mean(np.abs(logs) <= math.log(2))),
    )


def _check(layers: Sequence[_Layer]) -> LayerCheck:
    first = layers[0]
    logs = np.array([math.log(layer.measured) for layer in layers if layer.measured > 0])
    return LayerCheck(
        layer=first.name,
        layer_index=first.index,
        predicted_second_moment=_number(first.predicted),
        measured_second_moment=float(np.exp(logs.mean())) if logs.size else None,
        measured_spread=float(logs.std(ddof=1)) if logs.size > 1 else None,
        predicted_backward_ratio=_number(first.predicted_backward),
        measured_backward_ratio=_geometric([layer.measured_backward for layer in layers]),
    )


def _geometric(values: Iterable[float]) -> float | None:
    logs = [math.log(value) for value in values if value > 0]
    return math.exp(math.fsum(logs) / len(logs)) if logs else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
