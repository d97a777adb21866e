"""What a grid will cost: multiplications, memory and seconds, before anything runs.

The seconds are a plain count of arithmetic over a rate, corrected by what the last finished cohorts really took. They
are meant to tell a minute from an hour, and every answer says what they rest on.
"""

import math
import statistics
from dataclasses import dataclass

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.tables import CohortRow, ExperimentRow
from services.science.datasets import plan_rows
from services.science.grid import Grid
from services.science.models import Model, Perceptron
from services.science.models.layers import Stage
from services.science.models.layers import parameters as count_parameters
from services.science.spec import ExperimentSpec

FLOAT_BYTES = 4
STARTUP_SECONDS = 1.5
"""Start of a fresh process that imports the engine."""
STEP_SECONDS = 60e-6
"""Fixed cost of one step of one cohort: calling the kernels."""
TRIAL_STEP_SECONDS = 4e-6
"""Fixed cost of one step of one trial."""
LAYER_SECONDS = 50e-6
"""Fixed cost of one layer in one step of a network that PyTorch trains."""
NORM_FLOPS = 30
"""Operations of a normalisation for each number, there and back."""
EVALUATION_FLOATS = 1_000_000
"""Numbers in one activation tensor of a convolutional network's evaluation."""
RECALIBRATION_ROWS = 8192
FLOPS = 4e10
"""Sustained arithmetic of small layers on a few CPU cores, multiply and add counted apart."""
HISTORY = 20
"""How many finished cohorts correct the next prediction."""


class Seconds(BaseModel):
    """A predicted duration with the range that earlier predictions earned."""

    expected: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    basis: str


@dataclass(frozen=True)
class Load:
    """One cohort's work.

    Attributes:
        parameters: trained numbers of one trial.
        seconds: uncorrected prediction for all its epochs.
        memory_bytes: data, parameters, gradients, optimizer state, activations and checkpoint of the whole cohort.
    """

    parameters: int
    seconds: float
    memory_bytes: int


def stages(spec: ExperimentSpec, width_factor: int = 1) -> tuple[Stage, ...]:
    """The stages of the spec's network on the spec's data; a gated unit has a `width_factor` of 2."""
    return _model(spec).stages(spec.dataset.input_shape, spec.dataset.outputs, width_factor)


def load(spec: ExperimentSpec, grid: Grid, positions: tuple[int, ...]) -> Load:
    """Count the work of the cohort made of the trials at `positions`."""
    arm = grid.arms[grid.trials[positions[0]].arm_index]
    # Trials of one cohort may differ in their activation: the widest network is counted for all of them.
    widest = max(grid.arms[grid.trials[position].arm_index].activation.width_factor for position in positions)
    model = _model(spec)
    network = stages(spec, widest)
    train, validation = plan_rows(spec.dataset)
    parameters = count_parameters(network)
    units = sum(_kept(stage) for stage in network)
    dropped = sum(math.prod(stage.shape) for stage in network if stage.dropout)
    work = sum(stage.layer.parameters * stage.places for stage in network)
    batch = min(arm.batch_size, train)
    steps = math.ceil(train / batch)
    trials = len(positions)
    images = bool(network[0].space)
    # Convolutional networks are run one after the other: many calls, but one trial's activations at a time.
    passes, together = (trials, 1) if images else (1, trials)
    fixed = STEP_SECONDS if isinstance(model, Perceptron) and model.plain else LAYER_SECONDS * len(network)
    # Forward, backward to the input and to the weights: three products of two operations; validation is forward only.
    arithmetic = 6 * work * train + 2 * work * _evaluated(network, train, validation)
    arithmetic += NORM_FLOPS * train * sum(stage.norm_width * stage.places for stage in network)
    epoch = steps * (passes * fixed + trials * TRIAL_STEP_SECONDS) + trials * arithmetic / FLOPS
    state = len(getattr(type(arm.optimizer), "state", ()))
    rows = (train + validation) * (math.prod(spec.dataset.input_shape) + 1)
    evaluation = min(validation, 8192) * max(stage.layer.channels for stage in network)
    if images:
        widest = max(stage.places * stage.layer.channels for stage in network)
        evaluation = 4 * min(max(EVALUATION_FLOATS, widest), validation * widest)
    held = trials * (parameters * (3 + state) + 2 * batch * dropped) + together * (4 * batch * units + evaluation)
    return Load(parameters, STARTUP_SECONDS + spec.epochs * epoch, FLOAT_BYTES * (rows + held))


def predict(session: Session, raw_seconds: list[float], lanes: int) -> Seconds:
    """Correct the cohorts' raw predictions by the last finished cohorts and spread them over `lanes` at once."""
    ratios = _history(session)
    raw = max(sum(raw_seconds) / max(1, lanes), *raw_seconds)
    if len(ratios) < 3:
        basis = "a count of the arithmetic; nothing comparable has finished here yet"
        return Seconds(expected=raw, low=raw / 4, high=raw * 4, basis=basis)
    centre, spread = statistics.median(ratios), statistics.quantiles(ratios, n=10, method="inclusive")
    basis = f"a count of the arithmetic, corrected by the last {len(ratios)} finished cohorts"
    return Seconds(expected=raw * centre, low=raw * spread[0], high=raw * spread[-1], basis=basis)


def _history(session: Session) -> list[float]:
    """Measured over predicted seconds of the last cohorts that ran through."""
    rows = session.execute(
        select(CohortRow.position, CohortRow.started_at, CohortRow.finished_at, ExperimentRow.quote)
        .join(ExperimentRow, ExperimentRow.id == CohortRow.experiment_id)
        .where(CohortRow.state == "succeeded", CohortRow.attempt == 1, CohortRow.finished_at.is_not(None))
        .order_by(CohortRow.finished_at.desc())
        .limit(HISTORY)
    )
    ratios: list[float] = []
    for position, started, finished, quote in rows:
        predicted = (quote or {}).get("cohort_seconds", [])
        if started and finished and position < len(predicted) and predicted[position] > 0:
            ratios.append(max(0.001, (finished - started).total_seconds() / predicted[position]))
    return ratios


def _model(spec: ExperimentSpec) -> Model:
    model = spec.resolved().model
    assert model is not None
    return model


def _kept(stage: Stage) -> int:
    """Numbers of one row that a stage keeps for the way back: pre-activations, and what a normalisation adds."""
    return stage.places * (stage.layer.channels + stage.norm_width)


def _evaluated(network: tuple[Stage, ...], train: int, validation: int) -> int:
    """Rows of one epoch that only run forward: validation by each sort of batch norm statistics."""
    kinds = next((stage.batch_norm.evaluation for stage in network if stage.batch_norm), ("moving",))
    return validation * len(kinds) + (min(train, RECALIBRATION_ROWS) if "recalibrated" in kinds else 0)
