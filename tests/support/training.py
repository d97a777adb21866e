"""Small cohorts for tests of the training engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from services.science.datasets import prepare
from services.science.grid import Grid, expand
from services.science.spec import ExperimentSpec
from services.science.streams import Purpose, stream
from services.training.choose import Choice, build_engine
from services.training.engine import CohortDescription, Engine, Rows, TrialPlan
from services.training.initial import draw_layers
from services.training.loop import TrainingRun
from services.training.observer import EpochReport, StateOf


@dataclass
class Kept:
    """An observer that keeps every report and, when asked, the state after it.

    `save_when` sets an epoch down at a batch; the states there are kept as `inside`, with the last finished epoch.
    """

    keep_states: bool = False
    stop_when: Callable[[int, float], bool] = lambda _epoch, _fraction: False
    save_when: Callable[[int, float], bool] = lambda _epoch, _fraction: False
    reports: list[EpochReport] = field(default_factory=list)
    states: list[dict[str, np.ndarray]] = field(default_factory=list)
    inside: list[tuple[int, dict[str, np.ndarray]]] = field(default_factory=list)
    stopping: bool = False
    saving: bool = False

    def epoch(self, report: EpochReport, state: StateOf) -> None:
        self.reports.append(report)
        if self.keep_states:
            self.states.append(state())

    def progress(self, epoch: int, fraction: float) -> None:
        self.stopping = self.stopping or self.stop_when(epoch, fraction)
        self.saving = self.save_when(epoch, fraction)

    def stop_now(self) -> bool:
        return False

    def stop_soon(self) -> bool:
        return self.stopping

    def save_soon(self) -> bool:
        return self.saving

    def set_down(self, epoch: int, state: StateOf) -> None:
        self.inside.append((epoch, state()))

    def metric(self, name: str) -> np.ndarray:
        """One metric as ``[epochs + 1, slots]``."""
        return np.stack([report.metrics[name] for report in self.reports])


def described(document: dict[str, Any], rows: Rows, outputs: int = 1) -> CohortDescription:
    """The cohort of a whole spec over given rows."""
    spec = ExperimentSpec.model_validate({"dataset": "diamonds", **document}).resolved()
    grid = expand(spec)
    assert spec.model is not None
    assert spec.loss is not None
    return CohortDescription(
        plans(grid),
        spec.model,
        spec.loss,
        rows.x_train.shape[1:],
        outputs,
        grid.arms[0].batch_size,
        spec.epochs,
    )


def plans(grid: Grid) -> tuple[TrialPlan, ...]:
    chosen = [(grid.arms[trial.arm_index], trial.seed) for trial in grid.trials]
    return tuple(TrialPlan(arm.activation, arm.initializer, arm.optimizer, seed) for arm, seed in chosen)


def prepared(document: dict[str, Any], data_dir: Path) -> tuple[CohortDescription, Rows]:
    """The cohort of a whole spec over its own data set."""
    data = prepare(ExperimentSpec.model_validate(document).dataset, data_dir)
    rows = Rows(data.x_train, data.y_train, data.x_validation, data.y_validation)
    return described(document, rows, ExperimentSpec.model_validate(document).outputs), rows


def regression_rows(train: int = 200, validation: int = 60, inputs: int = 5) -> Rows:
    """A smooth target with noise."""
    rng = stream(11, Purpose.SYNTHETIC)
    x = rng.normal(size=(train + validation, inputs)).astype(np.float32)
    y = (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.1 * rng.normal(size=(len(x), 1))).astype(np.float32)
    return Rows(x[:train], y[:train], x[train:], y[train:])


def class_rows(train: int = 200, validation: int = 60, inputs: int = 5, classes: int = 3) -> Rows:
    """Classes by the sum of the features."""
    rng = stream(12, Purpose.SYNTHETIC)
    x = rng.normal(size=(train + validation, inputs)).astype(np.float32)
    y = np.digitize(x.sum(axis=1), np.linspace(-1.5, 1.5, classes - 1)).astype(np.int64)
    return Rows(x[:train], y[:train], x[train:], y[train:])


def engine_of(description: CohortDescription, rows: Rows, engine: Choice = "eager", threads: int = 1) -> Engine:
    initial = draw_layers(description, rows.x_train)
    return build_engine(engine, description, initial, rows, device="cpu", threads=threads)


def train(
    description: CohortDescription,
    rows: Rows,
    observer: Kept | None = None,
    engine: Choice = "eager",
    threads: int = 1,
) -> Kept:
    """Train to the end; the observer comes back."""
    observer = observer or Kept()
    TrainingRun(engine_of(description, rows, engine, threads), description, rows, observer).run()
    return observer


def alone(description: CohortDescription, slots: Sequence[int]) -> CohortDescription:
    """The cohort of some of the trials only."""
    return CohortDescription(
        tuple(description.trials[slot] for slot in slots),
        description.model,
        description.loss,
        description.input_shape,
        description.outputs,
        description.batch_size,
        description.epochs,
    )
