"""From a spec to its grid: the arms, the trials, and how the trials are cut into cohorts."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.science.base import Member
from services.science.spec import Arm, ArmChoice, ExperimentSpec

SEPARATOR = " · "
"""Between the axes of a label."""
AXES = ("activation", "initializer", "optimizer", "batch_size")


@dataclass(frozen=True)
class PlannedTrial:
    """One arm with one seed. `position` is its place in the grid: arm by arm, seeds in the spec's order."""

    position: int
    arm_index: int
    seed: int


@dataclass(frozen=True)
class Grid:
    """The expanded grid. `labels[i]` names `arms[i]`; `axes` are those that vary."""

    arms: tuple[Arm, ...]
    labels: tuple[str, ...]
    axes: tuple[str, ...]
    trials: tuple[PlannedTrial, ...]


def size(spec: ExperimentSpec) -> int:
    """Count the trials without building them; with seeds in rounds, the most there can be."""
    count = len(spec.seeds) if spec.rounds is None else spec.rounds.max
    if spec.arms is not None:
        return len(spec.arms) * count
    for axis in AXES:
        count *= len(getattr(spec, axis))
    return count


def expand(spec: ExperimentSpec) -> Grid:
    """Expand the grid: activation slowest, then initializer, optimizer, batch size; seeds fastest."""
    arms = _explicit(spec) if spec.arms is not None else _product(spec)
    varying = [axis for axis in AXES if len({repr(getattr(arm, axis)) for arm in arms}) > 1]
    axes = tuple(axis for axis in AXES if axis in varying or axis in ("activation", "initializer"))
    trials = tuple(
        PlannedTrial(position, arm_index, seed)
        for position, (arm_index, seed) in enumerate(itertools.product(range(len(arms)), spec.seeds))
    )
    labels = tuple(SEPARATOR.join(names[axis] for axis in axes) for names in axis_names(arms))
    return Grid(arms, labels, tuple(varying), trials)


def axis_names(arms: Sequence[Arm]) -> list[dict[str, str]]:
    """What each arm's value of each axis is called among these arms: axis to name, one mapping per arm.

    A member's name tells the parameters that differ from their defaults, and those in which the arms' members of the
    same kind differ from one another: ``sgd(learning_rate=0.01)`` beside ``sgd(learning_rate=0.1)``, though 0.01 is
    the default.
    """
    names: list[dict[str, str]] = [{} for _ in arms]
    for axis in AXES:
        values = [getattr(arm, axis) for arm in arms]
        varied = _varied(values)
        for own, value in zip(names, values, strict=True):
            own[axis] = value.label(varied[value.kind]) if isinstance(value, Member) else f"batch {value}"
    return names


def _varied(values: Sequence[Any]) -> dict[str, set[str]]:
    """Per kind the parameters in which its members differ."""
    first: dict[str, Member] = {}
    varied: dict[str, set[str]] = {}
    for value in values:
        if isinstance(value, Member):
            other = first.setdefault(value.kind, value)
            differ = {name for name, own in value if own != getattr(other, name)}
            varied.setdefault(value.kind, set()).update(differ)
    return varied


def cut(grid: Grid, width: int, lanes: int = 1) -> tuple[tuple[int, ...], ...]:
    """Cut the grid into cohorts of at most `width` trials, enough for `lanes` at once; return the trials' positions.

    Trials train together when they share the optimizer's kind, the batch size and the shapes of their weights, which
    gated activations widen (model, data and epochs are the spec's). A group wider than `width`, or than its share of
    the lanes, is cut into parts of nearly equal size.
    """
    groups: dict[tuple[str, int, int], list[int]] = {}
    for trial in grid.trials:
        arm = grid.arms[trial.arm_index]
        groups.setdefault((arm.optimizer.kind, arm.batch_size, arm.activation.width_factor), []).append(trial.position)
    cohorts: list[tuple[int, ...]] = []
    for positions in groups.values():
        share = round(lanes * len(positions) / len(grid.trials))
        parts = max(-(-len(positions) // width), min(share, len(positions)))
        bounds = [round(i * len(positions) / parts) for i in range(parts + 1)]
        cohorts.extend(tuple(positions[a:b]) for a, b in itertools.pairwise(bounds))
    return tuple(cohorts)


def _product(spec: ExperimentSpec) -> tuple[Arm, ...]:
    values = itertools.product(*(getattr(spec, axis) for axis in AXES))
    return tuple(Arm(**dict(zip(AXES, combo, strict=True))) for combo in values)


def _explicit(spec: ExperimentSpec) -> tuple[Arm, ...]:
    def pick(arm: ArmChoice, axis: str) -> Any:
        own = getattr(arm, axis)
        return own if own is not None else getattr(spec, axis)[0]

    return tuple(Arm(**{axis: pick(arm, axis) for axis in AXES}) for arm in spec.arms or ())
