"""The arms of experiments as a comparison asks for them: outcomes, curves of one metric and energy of every seed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.errors import FieldProblem, InvalidInputError
from services.science.comparison.input import ArmInput, EnergyInput
from services.science.results import ArmResults, ExperimentResults, Outcome

SHARE_RULE = "the energy of a cohort divided equally among its trials"
JOULES_PER_KWH = 3.6e6
AXES = ("activation", "initializer", "optimizer", "batch_size")
EXPERIMENT = "experiment"
"""The axis on which arms of several experiments differ when they are otherwise the same."""

Pair = tuple[ExperimentResults, ArmResults]


def training_counterpart(metric: str) -> str:
    """The training metric beside which a comparison sees this one."""
    return "train_" + metric.removeprefix("val_").removeprefix("train_")


def arm_inputs(
    experiments: Sequence[ExperimentResults], metric: str, grams_per_kwh: float | None = None
) -> list[ArmInput]:
    """The arms of these experiments with the curves of a metric and of its training counterpart.

    Args:
        experiments: with both curves of their finished trials; of several, each arm is named with its experiment.
        metric: such as ``val_loss``.
        grams_per_kwh: CO2 equivalent of the electricity; None leaves it out.

    Raises:
        InvalidInputError: no finished trial has this metric.
    """
    pairs = [(experiment, arm) for experiment in experiments for arm in experiment.arms]
    finished = [arm for _, arm in pairs if arm.having(Outcome.FINISHED).any()]
    if finished and not any(_has(arm, metric) for arm in finished):
        raise _invalid("metric", f"these trials have no {metric!r}")
    axes, names = _axes(pairs), _names(experiments)
    return [_input(pair, axes, names, metric, grams_per_kwh) for pair in pairs]


def _axes(pairs: Sequence[Pair]) -> list[str]:
    """The axes on which the arms differ, all that they have when they do not, and their experiment where need be."""

    def values(names: Sequence[str]) -> list[str]:
        return [json.dumps([arm.arm.get(name) for name in names], sort_keys=True) for _, arm in pairs]

    present = [name for name in AXES if any(name in arm.arm for _, arm in pairs)]
    axes = [name for name in present if len(set(values([name]))) > 1]
    several = len({experiment.id for experiment, _ in pairs}) > 1
    if several and len(set(values(present))) < len(pairs):
        return [*axes, EXPERIMENT]
    return axes or present


def _names(experiments: Sequence[ExperimentResults]) -> dict[str, str]:
    """How to call each experiment: by its name where the names tell them apart, else by its id."""
    every = {experiment.id: experiment.name for experiment in experiments}
    named = [name for name in every.values() if name]
    distinct = len(set(named)) == len(every)
    return {own: (name or own) if distinct else own for own, name in every.items()}


def _input(
    pair: Pair, axes: Sequence[str], names: Mapping[str, str], metric: str, grams_per_kwh: float | None
) -> ArmInput:
    experiment, arm = pair
    several = len(names) > 1
    training = training_counterpart(metric)
    values: dict[str, Any] = {name: names[experiment.id] if name == EXPERIMENT else arm.arm.get(name) for name in axes}
    return ArmInput(
        key=f"{experiment.id}: {arm.key}" if several else arm.key,
        label=f"{names[experiment.id]}: {arm.label}" if several else arm.label,
        arm=values,
        seeds=arm.seeds,
        outcomes=[
            Outcome.MISSING if trial.outcome is Outcome.FINISHED and np.isnan(numbers).all() else trial.outcome
            for trial, numbers in zip(arm.trials, arm.curve(metric), strict=True)
        ],
        curve=arm.curve(metric, experiment.epochs),
        train_curve=arm.curve(training, experiment.epochs) if training != metric and _has(arm, training) else None,
        energy=_energy(arm, grams_per_kwh),
    )


def _has(arm: ArmResults, metric: str) -> bool:
    """Whether a finished trial has a number of this metric."""
    return not np.isnan(arm.curve(metric)[arm.having(Outcome.FINISHED)]).all()


def _energy(arm: ArmResults, grams_per_kwh: float | None) -> EnergyInput | None:
    """Energy and CO2 equivalent of each trial; measured only where all of it was."""
    methods = [trial.energy_method or "" for trial in arm.trials if trial.joules is not None]
    if not methods:
        return None
    joules = arm.joules
    grams = None if grams_per_kwh is None else joules / JOULES_PER_KWH * grams_per_kwh
    measured = all("measured" in method for method in methods)
    rule = f"{SHARE_RULE}; {', '.join(dict.fromkeys(methods))}"
    return EnergyInput(joules, grams, "measured" if measured else "estimated", rule)


def _invalid(name: str, message: str) -> InvalidInputError:
    return InvalidInputError(f"{name}: {message}", [FieldProblem(name, message)])
