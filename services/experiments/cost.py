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
from services.science.models import Model
from services.science.models.layers import WeightLayer
from services.science.spec import ExperimentSpec

FLOAT_BYTES = 4
STARTUP_SECONDS = 1.5
"""Start of a fresh process that imports the engine."""
STEP_SECONDS = 60e-6
"""Fixed cost of one step of one cohort: calling the kernels."""
TRIAL_STEP_SECONDS = 4e-6
"""Fixed cost of one step of one trial."""
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


def weight_layers(spec: ExperimentSpec, width_factor: int = 1) -> tuple[WeightLayer, ...]:
    """The layers of the spec's network on the spec's data; a gated unit has a `width_factor` of 2."""
    return _model(spec).weight_layers(math.prod(spec.dataset.input_shape), spec.dataset.outputs, width_factor)


def load(spec: ExperimentSpec, grid: Grid, positions: tuple[int, ...]) -> Load:
    """Count the work of the cohort made of the trials at `positions`."""
    arm = grid.arms[grid.trials[positions[0]].arm_index]
    # Trials of one cohort may differ in their activation: the widest network is counted for all of them.
    widest = max(grid.arms[grid.trials[position].arm_index].activation.width_factor for position in positions)
    layers = weight_layers(spec, widest)
    train, validation = plan_rows(spec.dataset)
    parameters = sum(layer.parameters for layer in layers)
    units = sum(_units(layer, spec) for layer in layers)
    work = sum(layer.parameters * _positions(layer, spec) for layer in layers)
    batch = min(arm.batch_size, train)
    steps = math.ceil(train / batch)
    trials = len(positions)
    # Forward, backward to the input and to the weights: three products of two operations; validation is forward only.
    arithmetic = 6 * work * train + 2 * work * validation
    epoch = steps * (STEP_SECONDS + trials * TRIAL_STEP_SECONDS) + trials * arithmetic / FLOPS
    state = len(getattr(type(arm.optimizer), "state", ()))
    per_trial = parameters * (3 + state) + 4 * batch * units
    rows = (train + validation) * (math.prod(spec.dataset.input_shape) + 1)
    evaluation = min(validation, 8192) * max(_units(layer, spec) for layer in layers)
    memory = FLOAT_BYTES * (rows + trials * (per_trial + evaluation))
    return Load(parameters, STARTUP_SECONDS + spec.epochs * epoch, memory)


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


def _positions(layer: WeightLayer, spec: ExperimentSpec) -> int:
    """How often a layer's weights are used for one row: once, or at most at every pixel of the input."""
    return 1 if len(layer.shape) == 2 else math.prod(spec.dataset.input_shape[1:])


def _units(layer: WeightLayer, spec: ExperimentSpec) -> int:
    return layer.shape[1] if len(layer.shape) == 2 else layer.shape[0] * _positions(layer, spec)
