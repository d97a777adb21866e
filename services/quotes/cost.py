"""What a grid will cost: multiplications, memory and seconds, before anything runs.

The seconds are a plain count of arithmetic over the rates of a machine (`services.quotes.machine`): all that is
known of a shape until cohorts of it have finished, see `services.quotes.forecast`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.quotes.history import shape_key, trial_steps
from services.quotes.machine import ASSUMED, Machine
from services.science.datasets import plan_rows
from services.science.grid import Grid
from services.science.limits import EVALUATION_FLOATS, LARGEST_RANK, MOST_LANES, RECALIBRATION_ROWS
from services.science.models import Model, Perceptron
from services.science.models.layers import Stage
from services.science.models.layers import parameters as count_parameters
from services.science.models.work import dropped, kept, products, ranked, training_operations
from services.science.spec import ExperimentSpec

FLOAT_BYTES = 4
ROW_SECONDS = 50e-6
"""Reporting and storing one trial's numbers of one epoch: what tiny networks spend most of their time on."""
FORWARD = 1 / 3
"""Share of a training row's moved numbers that a row which only runs forward moves."""
EVALUATED_ROWS = 8192
"""Validation rows whose activations a dense network's evaluation holds at once, at most."""
COPIES, IMAGE_COPIES = 4.0, 2.5
"""Numbers held for each that a network keeps of a row; the default cnn at a batch of 512 holds 1.0 GiB per trial."""


@dataclass(frozen=True)
class Load:
    """One cohort's work.

    Attributes:
        parameters: trained numbers of one trial.
        seconds: uncorrected prediction for all its epochs.
        memory_bytes: data, parameters, gradients, optimizer state, activations and checkpoint of the whole cohort.
        shape: what its measured rate is kept under.
        trial_steps: optimizer steps of all its trials.
        work: what of `seconds` is training, the start-up left out.
        images: whether the network has convolutions.
        least_seconds: what it takes at least, because it waits for a process that starts meanwhile.
    """

    parameters: int
    seconds: float
    memory_bytes: int
    shape: str
    trial_steps: int
    work: float
    images: bool
    least_seconds: float = 0.0


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
    units = kept(network)
    batch = min(arm.batch_size, train)
    steps = math.ceil(train / batch)
    trials = len(positions)
    images = bool(network[0].space)
    # Of convolutional networks the activations of as many trials as have a lane.
    together = min(trials, MOST_LANES, int(machine.threads)) if images else trials
    compiled = isinstance(model, Perceptron) and machine.kernel_flops > 0
    count = _in_kernel if compiled else _in_torch
    training, measuring = count(machine, network, trials, steps, train, _evaluated(network, train, validation))
    # The untrained network is measured too.
    seconds = spec.epochs * training + (spec.epochs + 1) * (measuring + trials * ROW_SECONDS)
    seconds += _measurements(spec) * trials * ranked(network, LARGEST_RANK) * machine.rank_seconds
    state = len(getattr(type(arm.optimizer), "state", ()))
    rows = (train + validation) * (math.prod(spec.dataset.input_shape) + 1)
    evaluation = min(validation, EVALUATED_ROWS) * max(stage.layer.channels for stage in network)
    if images:
        widest = max(stage.places * stage.layer.channels for stage in network)
        evaluation = 4 * min(max(EVALUATION_FLOATS, widest), validation * widest)
    held = trials * (parameters * (3 + state) + 2 * batch * dropped(network))
    held += together * (round((IMAGE_COPIES if images else COPIES) * batch * units) + evaluation)
    return Load(
        parameters,
        machine.startup_seconds + seconds,
        FLOAT_BYTES * (rows + held),
        shape_key(spec.resolved(), arm, trials),
        trial_steps(spec, arm.batch_size, trials),
        seconds,
        images,
    )


def _in_kernel(
    machine: Machine, network: Sequence[Stage], trials: int, steps: int, train: int, evaluated: int
) -> tuple[float, float]:
    """Seconds of an epoch's training and of its measuring by the compiled kernel."""
    # Each trial has a thread to itself: fewer trials than threads take as long as one for each.
    busy = max(trials, machine.threads)
    training = steps * machine.kernel_trial_step_seconds + train * training_operations(network) / machine.kernel_flops
    return busy * training, busy * evaluated * 2 * products(network) / machine.kernel_flops


def _in_torch(
    machine: Machine, network: Sequence[Stage], trials: int, steps: int, train: int, evaluated: int
) -> tuple[float, float]:
    """The same by PyTorch, for which convolutional networks make calls of their own and dense ones share them."""
    if network[0].space:
        rate, each = machine.convolution_flops, machine.convolution_number_seconds
        calls = trials * machine.convolution_layer_seconds * len(network)
    else:
        rate, each = machine.flops, machine.number_seconds
        calls = machine.step_seconds + machine.layer_seconds * len(network) + trials * machine.trial_step_seconds
    moving = each * kept(network)
    training = steps * calls + trials * train * (training_operations(network) / rate + moving)
    return training, trials * evaluated * (2 * products(network) / rate + FORWARD * moving)


def _model(spec: ExperimentSpec) -> Model:
    model = spec.resolved().model
    assert model is not None
    return model


def _measurements(spec: ExperimentSpec) -> int:
    """After how many epochs the layers' effective ranks are measured, which is what takes time for wide layers."""
    chosen = spec.diagnostics
    if chosen is None or "effective_rank" not in chosen.quantities:
        return 0
    return sum(chosen.due(epoch, spec.epochs) for epoch in range(spec.epochs + 1))


def _evaluated(network: tuple[Stage, ...], train: int, validation: int) -> int:
    """Rows of one epoch that only run forward: validation by each sort of batch norm statistics."""
    kinds = next((stage.batch_norm.evaluation for stage in network if stage.batch_norm), ("moving",))
    return validation * len(kinds) + (min(train, RECALIBRATION_ROWS) if "recalibrated" in kinds else 0)
