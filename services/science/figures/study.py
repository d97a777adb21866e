"""What a figure is computed from: the trials of an experiment, arm by arm, as arrays."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FINAL_STATES = ("succeeded", "diverged", "failed", "cancelled")


@dataclass(frozen=True)
class LayerRecord:
    """What one layer of one trial looked like after one epoch: scalars and histograms by name."""

    arm_key: str
    seed: int
    epoch: int
    layer: str
    layer_index: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class ArmRuns:
    """The trials of one arm.

    Attributes:
        key: digest of the arm; label: its name from the axes that vary.
        axes: the label of each axis, e.g. ``{"activation": "tanh", "initializer": "he_uniform", ...}``.
        members: the arm's activation and initializer objects, where known.
        seeds, states: one entry per trial.
        curves: per metric an array (trials, epochs + 1), NaN where there is no number.
        diverged_at: the epoch at which a trial became non-finite, None where it did not.
        joules: (trials,), NaN where not known.
    """

    key: str
    label: str
    axes: Mapping[str, str]
    seeds: tuple[int, ...]
    states: tuple[str, ...]
    curves: Mapping[str, Floats]
    diverged_at: tuple[int | None, ...] = ()
    joules: Floats = field(default_factory=lambda: np.empty(0))
    members: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def kept(self) -> NDArray[np.bool_]:
        """Trials that did not diverge: the only ones that enter a mean."""
        return np.array([state != "diverged" for state in self.states], dtype=bool)

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return len(self.states) - int(self.kept.sum())

    def curve(self, metric: str) -> Floats:
        """The metric's array (trials, epochs + 1); all NaN where the arm has none."""
        found = self.curves.get(metric)
        return np.full((len(self.seeds), 1), np.nan) if found is None else found


@dataclass(frozen=True)
class LayerWish:
    """Which numbers of which layers a figure reads, so that no others are loaded.

    Attributes:
        names: of the layers' values; a layer counts where it has the first of them.
        epochs: chooses among the epochs after which that was measured, in ascending order.
        arms: chooses among the arms in which it was measured, in the order of the grid.
        positive: whether only a first number above zero makes an epoch or an arm one to choose from.
    """

    names: tuple[str, ...]
    epochs: Callable[[list[int]], list[int]]
    arms: Callable[[list[ArmRuns]], list[ArmRuns]] = list
    positive: bool = False


@dataclass(frozen=True)
class Study:
    """One experiment as a figure sees it.

    Attributes:
        name: what the user called it; dataset, task, loss, standardized: what was learned.
        epochs: planned.
        arms: in the order of the grid.
        varying: axes with more than one value.
        comparison: the comparison's answer as plain JSON values, where a figure asked for it.
        diagnostics: what was read of the layers, of every seed.
        layers_left_out: labels of the arms whose layers were too many to be read.
    """

    name: str | None
    dataset: str
    task: str
    loss: str
    epochs: int
    arms: tuple[ArmRuns, ...]
    varying: tuple[str, ...]
    standardized: bool = True
    comparison: Mapping[str, Any] | None = None
    diagnostics: tuple[LayerRecord, ...] = ()
    layers_left_out: tuple[str, ...] = ()

    @property
    def trials(self) -> int:
        """How many trials the study has."""
        return sum(len(arm.seeds) for arm in self.arms)

    @property
    def diverged(self) -> int:
        """How many of them diverged."""
        return sum(arm.diverged for arm in self.arms)

    @property
    def unfinished(self) -> int:
        """How many may still get further epochs."""
        return sum(state not in FINAL_STATES for arm in self.arms for state in arm.states)

    def heading(self) -> str:
        """The study's name and data set, for a subtitle."""
        name = shown(self.name or "", 80)
        return f"{name} · {self.dataset}" if name else self.dataset

    def series(self, arm: ArmRuns, without: str | None = None) -> str:
        """The arm's label without one axis."""
        axes = [axis for axis in arm.axes if axis != without and (axis in self.varying or not self.varying)]
        return " · ".join(arm.axes[axis] for axis in axes) or arm.label

    def order(self, axis: str) -> list[str]:
        """The values of an axis in the order of the grid."""
        return list(dict.fromkeys(arm.axes[axis] for arm in self.arms))


def shown(text: str, limit: int) -> str:
    """User text as a picture can carry it: no control characters (XML has no place for them), one line, cut."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
