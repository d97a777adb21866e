"""What an experiment measured: its arms, their trials, curves and layers.

Read from the database by `services.results`, and the one form in which comparison, claims, rounds, figures, reports
and predictions take it. How many arms there are, which seeds, what diverged and when is asked here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.states import FINAL_TRIAL, epochs_behind

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Outcome(StrEnum):
    """What became of one trial."""

    FINISHED = "finished"
    """It trained to the end; its value counts."""
    DIVERGED = "diverged"
    """It became non-finite: a result that counts in n, never in a mean."""
    MISSING = "missing"
    """It failed, was cancelled or is not done: no result."""


OF_STATE = {"succeeded": Outcome.FINISHED, "diverged": Outcome.DIVERGED}
"""The outcome of a trial in this state; in every other there is none."""


@dataclass(frozen=True)
class TrialResult:
    """One arm with one seed.

    Attributes:
        position: its place among the experiment's trials, in the order in which they were planned.
        epochs_done: its last stored epoch.
        joules: its energy, None where not known; energy_method: how that was found out.
        diverged_at, diverged_in: the epoch at which it became non-finite, and where that was seen first, if known.
        error: why it failed, in words.
        final: its metrics after the last epoch, None for a number that is not finite.
    """

    id: str
    seed: int
    state: str
    position: int = 0
    epochs_done: int = 0
    joules: float | None = None
    energy_method: str | None = None
    diverged_at: int | None = None
    diverged_in: str | None = None
    error: str | None = None
    final: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        return OF_STATE.get(self.state, Outcome.MISSING)


@dataclass(frozen=True, eq=False)
class ArmResults:
    """The trials of one arm.

    Attributes:
        key: digest of the arm; label: its name from the axes that vary, as it was stored.
        trials: in the order in which they were planned.
        arm: every axis with its canonical value.
        curves: per metric an array (trials, epochs + 1) up to the last epoch that any of the trials has, NaN where
            there is no number; column 0 is the untrained network. A metric that none of them has is left out.
        axes: where asked for, what each axis is called: ``{"activation": "tanh", "initializer": "he_uniform", ...}``.
        members: where asked for, the arm's activation and initializer objects.
    """

    key: str
    label: str
    trials: tuple[TrialResult, ...]
    arm: Mapping[str, Any] = field(default_factory=dict[str, Any])
    curves: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    axes: Mapping[str, str] = field(default_factory=dict[str, str])
    members: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """One entry per trial."""
        return tuple(trial.seed for trial in self.trials)

    @property
    def states(self) -> tuple[str, ...]:
        """One entry per trial."""
        return tuple(trial.state for trial in self.trials)

    @property
    def diverged_at(self) -> tuple[int | None, ...]:
        """The epoch at which each trial became non-finite, None where it did not."""
        return tuple(trial.diverged_at for trial in self.trials)

    @property
    def joules(self) -> Floats:
        """Energy of each trial, (trials,), NaN where not known."""
        return np.array([np.nan if trial.joules is None else trial.joules for trial in self.trials], dtype=np.float64)

    def having(self, outcome: Outcome) -> Mask:
        """Which trials ended so, (trials,)."""
        return np.array([trial.outcome == outcome for trial in self.trials], dtype=bool)

    @cached_property
    def kept(self) -> Mask:
        """Trials that did not diverge: the only ones that enter a mean."""
        return ~self.having(Outcome.DIVERGED)

    @property
    def diverged(self) -> int:
        """How many trials diverged."""
        return len(self.trials) - int(self.kept.sum())

    def curve(self, metric: str, epochs: int = 0) -> Floats:
        """The metric's array (trials, epochs + 1), of at least so many epochs; all NaN where the arm has none."""
        curve = self.curves.get(metric)
        if curve is None:
            return np.full((len(self.trials), epochs + 1), np.nan)
        missing = epochs + 1 - curve.shape[1]
        return curve if missing <= 0 else np.pad(curve, ((0, 0), (0, missing)), constant_values=np.nan)


@dataclass(frozen=True, eq=False, kw_only=True)
class ExperimentResults:
    """One experiment as far as it is done.

    Attributes:
        name: what the user called it.
        epochs: planned.
        arms: in the order of the grid.
    """

    id: str
    name: str | None
    epochs: int
    arms: tuple[ArmResults, ...]

    @property
    def trials(self) -> int:
        """How many trials it has."""
        return sum(len(arm.trials) for arm in self.arms)

    @property
    def diverged(self) -> int:
        """How many of them diverged."""
        return sum(arm.diverged for arm in self.arms)

    @property
    def state_counts(self) -> Counter[str]:
        """How many trials stand in each state."""
        return Counter(trial.state for arm in self.arms for trial in arm.trials)

    @property
    def unfinished(self) -> int:
        """How many may still get further epochs."""
        return sum(count for state, count in self.state_counts.items() if state not in FINAL_TRIAL)

    @property
    def epochs_done(self) -> int:
        """Epochs of all trials that are done; of one that finished or diverged, all of its epochs."""
        return sum(
            epochs_behind(trial.state, 1, trial.epochs_done, self.epochs) for arm in self.arms for trial in arm.trials
        )

    @property
    def failures(self) -> list[tuple[ArmResults, TrialResult]]:
        """The trials that failed, each with its arm, in the order in which they were planned."""
        failures = [(arm, trial) for arm in self.arms for trial in arm.trials if trial.state == "failed"]
        return sorted(failures, key=lambda one: one[1].position)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that an arm has, rising; those of later rounds too."""
        return tuple(sorted({seed for arm in self.arms for seed in arm.seeds}))

    def having(self, outcome: Outcome) -> Mask:
        """Which trials ended so, (arms, seeds)."""
        mask = np.full((len(self.arms), len(self.seeds)), outcome == Outcome.MISSING)
        for row, arm, places in self._places():
            mask[row, places] = arm.having(outcome)
        return mask

    def table(self, metric: str, arms: Sequence[int]) -> Floats:
        """The curves of the arms at these places, (arms, seeds, epochs + 1), NaN where there is no number."""
        table = np.full((len(arms), len(self.seeds), self.epochs + 1), np.nan)
        for row, arm, places in self._places(arms):
            table[row, places] = arm.curve(metric, self.epochs)
        return table

    def finals(self, metric: str) -> Floats:
        """The metric after the last epoch, (arms, seeds); NaN where a trial diverged or has no such number."""
        table = np.full((len(self.arms), len(self.seeds)), np.nan)
        for row, arm, places in self._places():
            numbers = [trial.final.get(metric) if trial.state == "succeeded" else None for trial in arm.trials]
            table[row, places] = [np.nan if number is None else number for number in numbers]
        return table

    def _places(self, arms: Iterable[int] | None = None) -> list[tuple[int, ArmResults, list[int]]]:
        """Row of an answer, arm, and the columns of its seeds."""
        column = {seed: place for place, seed in enumerate(self.seeds)}
        chosen = self.arms if arms is None else [self.arms[place] for place in arms]
        return [(row, arm, [column[seed] for seed in arm.seeds]) for row, arm in enumerate(chosen)]


@dataclass(frozen=True)
class CurveWish:
    """Which curves to read, so that no others are loaded.

    Attributes:
        metrics: names of an epoch row's numbers.
        finished: only of trials that trained to the end.
        arms: only of the arms with these keys; None for all.
    """

    metrics: tuple[str, ...] = ()
    finished: bool = False
    arms: frozenset[str] | None = None

    def of(self, arm: ArmResults) -> list[TrialResult]:
        """The trials of this arm whose curves are read."""
        if not self.metrics or (self.arms is not None and arm.key not in self.arms):
            return []
        return [trial for trial in arm.trials if not self.finished or trial.outcome is Outcome.FINISHED]


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
    arms: Callable[[list[ArmResults]], list[ArmResults]] = list
    positive: bool = False
