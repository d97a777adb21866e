"""What a grid will cost: multiplications, memory and seconds, before anything runs.

The seconds are a plain count of arithmetic over the rates of a machine (`services.experiments.machine`): all that is
known of a shape until cohorts of it have finished, see `services.experiments.forecast`.
"""

import math
from dataclasses import dataclass

from services.experiments.calibration import shape_key, trial_steps
from services.experiments.machine import ASSUMED, Machine
from services.science.datasets import plan_rows
from services.science.grid import Grid
from services.science.models import Model, Perceptron
from services.science.models.layers import Stage
from services.science.models.layers import parameters as count_parameters
from services.science.spec import ExperimentSpec

FLOAT_BYTES = 4
ROW_SECONDS = 50e-6
"""Reporting and storing one trial's numbers of one epoch: what tiny networks spend most of their time on."""
NORM_FLOPS = 30
"""Operations of a normalisation for each number, there and back; what moves them through the caches counts too."""
DROPOUT_FLOPS = 10
"""The same for dropout, whose random numbers the trials of a seed share."""
EVALUATION_FLOATS = 1_000_000
"""Numbers in one activation tensor of a convolutional network's evaluation."""
RECALIBRATION_ROWS = 8192


@dataclass(frozen=True)
class Load:
    """One cohort's work.

    Attributes:
        parameters: trained numbers of one trial.
        seconds: uncorrected prediction for all its epochs.
        memory_bytes: data, parameters, gradients, optimizer state, activations and checkpoint of the whole cohort.
        shape: what its measured rate is kept under.
        trial_steps: optimizer steps of all its trials.
    """

    parameters: int
    seconds: float
    memory_bytes: int
    shape: str
    trial_steps: int


def stages(spec: ExperimentSpec, width_factor: int = 1) -> tuple[Stage, ...]:
    """The stages of the spec's network on the spec's data; a gated unit has a `width_factor` of 2."""
    return _model(spec).stages(spec.dataset.input_shape, spec.outputs, width_factor)


def load(spec: ExperimentSpec, grid: Grid, positions: tuple[int, ...], machine: Machine = ASSUMED) -> Load:
    """Count the work of the cohort made of the trials at `positions`, and the time it takes on `machine`."""
    arm = grid.arms[grid.trials[positions[0]].arm_index]
    # Trials of one cohort may differ in their activation: the widest network is counted for all of them.
    widest_factor = max(grid.arms[grid.trials[position].arm_index].activation.width_factor for position in positions)
    model = _model(spec)
    network = stages(spec, widest_factor)
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
    compiled = isinstance(model, Perceptron) and machine.kernel_flops > 0
    # Forward, backward to the input and to the weights: three products of two operations; validation is forward only.
    arithmetic = 6 * work * train + 2 * work * _evaluated(network, train, validation)
    arithmetic += NORM_FLOPS * train * sum(stage.norm_width * stage.places for stage in network)
    arithmetic += DROPOUT_FLOPS * train * dropped
    if compiled:
        # Each trial has a thread to itself: fewer trials than threads take as long as one for each.
        busy = max(trials, machine.threads)
        epoch = busy * (steps * machine.kernel_trial_step_seconds + arithmetic / machine.kernel_flops)
    else:
        fixed = machine.step_seconds + machine.layer_seconds * len(network)
        rate = machine.convolution_flops if images else machine.flops
        moving = machine.number_seconds * units * train if images else 0.0
        epoch = steps * (passes * fixed + trials * machine.trial_step_seconds) + trials * (arithmetic / rate + moving)
    state = len(getattr(type(arm.optimizer), "state", ()))
    rows = (train + validation) * (math.prod(spec.dataset.input_shape) + 1)
    evaluation = min(validation, 8192) * max(stage.layer.channels for stage in network)
    if images:
        widest = max(stage.places * stage.layer.channels for stage in network)
        evaluation = 4 * min(max(EVALUATION_FLOATS, widest), validation * widest)
    held = trials * (parameters * (3 + state) + 2 * batch * dropped) + together * (4 * batch * units + evaluation)
    return Load(
        parameters,
        machine.startup_seconds + spec.epochs * (epoch + trials * ROW_SECONDS),
        FLOAT_BYTES * (rows + held),
        shape_key(spec.resolved(), arm, trials),
        trial_steps(spec, arm.batch_size, trials),
    )


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
