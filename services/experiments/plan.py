"""The plan of a spec: what it expands to, what it will cost, and what is worth knowing before it runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.orm import Session

from services.datasets.shared import SharedUploads
from services.datasets.uploads import fill_upload
from services.errors import FieldProblem, GridTooLargeError, SpecInvalidError
from services.experiments.admission import refusal
from services.experiments.population import live_slots, no_worker
from services.field_problems import MOST_PROBLEMS, field_problems, left_out
from services.plain_text import wrong_character
from services.predictions.warnings import spec_warnings, undrawable_pairs
from services.quotes.cost import Load, load, stages
from services.quotes.forecast import Seconds, predict
from services.quotes.machine import ASSUMED, Machine, present
from services.science import grid as grids
from services.science.datasets import plan_notes, plan_rows
from services.science.datasets.files import locate
from services.science.grid import Grid
from services.science.hypotheses.of_spec import unreadable_hypotheses
from services.science.models.layers import parameters as count_parameters
from services.science.spec import ExperimentSpec
from services.settings import Settings

MEMORY_SHARE = 0.8
"""Share of this machine's memory that one cohort may need, however few its trials."""
COHORT_BYTES = 2 * 2**30
"""What the trials of a cohort may add to the memory that one of them needs: of large networks fewer train together."""


class PlannedArm(BaseModel):
    """One arm of the plan."""

    label: str
    arm: dict[str, Any]


class PlannedCohort(BaseModel):
    """Trials that will train together."""

    size: int
    optimizer: str
    batch_size: int
    memory_bytes: int


class Plan(BaseModel):
    """What a submission would do."""

    trials: int = Field(description="Networks to train: arms times seeds.")
    arms: list[PlannedArm]
    seeds: list[int]
    axes: list[str] = Field(description="The axes that vary.")
    cohorts: list[PlannedCohort]
    epochs: int
    training_rows: int
    validation_rows: int
    steps: int = Field(description="Optimizer steps of all trials together.")
    parameters: int = Field(description="Trained numbers of one network.")
    predicted_seconds: Seconds
    memory_bytes: int = Field(description="Estimate for the largest cohort.")
    warnings: list[str]
    spec: dict[str, Any] = Field(description="The canonical spec: every default filled in.")
    spec_digest: str


class Prepared:
    """A checked spec with its grid, its cohorts and what they will cost; made once for a plan or a submission."""

    def __init__(self, spec: ExperimentSpec, settings: Settings, lanes: int = 1, machine: Machine = ASSUMED) -> None:
        _check_size(spec, settings)
        self.lanes = lanes
        self.machine = machine
        self.spec = spec.resolved()
        self.grid: Grid = grids.expand(self.spec)
        _check_arms(self.grid)
        _check_initializers(self.spec, self.grid)
        _check_hypotheses(self.spec, self.grid)
        self.cohorts, self.loads = self._cut(settings.cohort_width)
        self.memory_bytes = _memory(self.loads)
        _check_memory(self.memory_bytes)
        self.warnings = [
            *plan_notes(self.spec.dataset),
            *_data_notes(self.spec, settings.data_path),
            *spec_warnings(self.spec, self.grid),
        ]

    def _cut(self, width: int) -> tuple[tuple[tuple[int, ...], ...], list[Load]]:
        """The cohorts and their loads: as wide as asked for, or half as wide until they fit into the memory allowed."""
        # The data are held once by each cohort: to cut it saves only what its other trials add.
        alone = load(self.spec, self.grid, (0,)).memory_bytes
        allowed = min(alone + COHORT_BYTES, _most_memory())
        cohorts, loads = self._cohorts(width)
        while _memory(loads) > allowed and (width := min(width, max(map(len, cohorts))) // 2) > 0:
            cohorts, loads = self._cohorts(width)
        return cohorts, loads

    def _cohorts(self, width: int) -> tuple[tuple[tuple[int, ...], ...], list[Load]]:
        """Cohorts of at most `width` trials; later ones wait for a process that starts meanwhile."""
        cohorts = grids.cut(self.grid, width, self.lanes)
        loads = [load(self.spec, self.grid, positions, self.machine) for positions in cohorts]
        least = self.machine.import_seconds
        later = [replace(item, seconds=max(item.seconds, least), least_seconds=least) for item in loads[self.lanes :]]
        return cohorts, [*loads[: self.lanes], *later]

    def seconds(self, session: Session) -> Seconds:
        """The predicted duration with as many cohorts at once as there are lanes."""
        return predict(session, self.loads, self.lanes, self.machine)


def lanes(session: Session, settings: Settings, device: str | None) -> int:
    """How many cohorts can train at once: slots of live workers with this device, else of a worker set as this one."""
    return live_slots(session, device)[1] or max(1, settings.slots)


def parse_spec(body: Any, data_dir: Path, workspace: str, shared: SharedUploads | None = None) -> ExperimentSpec:
    """Validate a posted body as a spec; what is known of a table of the workspace is filled in first.

    Raises:
        SpecInvalidError: with a pointer into the body and a message for everything that is wrong.
    """
    try:
        spec = ExperimentSpec.model_validate(fill_upload(body, data_dir, workspace, shared))
    except ValidationError as error:
        raise invalid_spec(field_problems(error.errors(include_url=False), body)) from None
    # Not a rule of the spec itself: one that was stored before is still read.
    texts = [("/name", spec.name or ""), *((f"/tags/{index}", tag) for index, tag in enumerate(spec.tags))]
    wrong = [FieldProblem(pointer, why) for pointer, text in texts if (why := wrong_character(text))]
    if wrong:
        raise invalid_spec(wrong)
    return spec


def invalid_spec(problems: Sequence[FieldProblem]) -> SpecInvalidError:
    """The error that says what is wrong with a spec; its detail is the first problem."""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if len(problems) > MOST_PROBLEMS:
        more = f" (with {MOST_PROBLEMS - 1} others, {problems[-1].message})"
    first = problems[0]
    return SpecInvalidError(f"{first.pointer or 'the spec'}: {first.message}{more}", problems)


def plan(session: Session, spec: ExperimentSpec, settings: Settings) -> Plan:
    """Say what submitting the spec would do, without doing it.

    Raises:
        GridTooLargeError: more trials or memory than this service accepts.
    """
    prepared = Prepared(spec, settings, lanes(session, settings, spec.device), present(session))
    full = refusal(session, settings, len(prepared.grid.trials))
    train, validation = plan_rows(prepared.spec.dataset)
    arms = prepared.grid.arms
    steps = sum(-(-train // arms[trial.arm_index].batch_size) for trial in prepared.grid.trials) * spec.epochs
    first = [prepared.grid.arms[prepared.grid.trials[positions[0]].arm_index] for positions in prepared.cohorts]
    return Plan(
        trials=len(prepared.grid.trials),
        arms=[
            PlannedArm(label=label, arm=arm.model_dump(mode="json"))
            for label, arm in zip(prepared.grid.labels, arms, strict=True)
        ],
        seeds=list(spec.seeds),
        axes=list(prepared.grid.axes),
        cohorts=[
            PlannedCohort(
                size=len(positions),
                optimizer=arm.optimizer.kind,
                batch_size=arm.batch_size,
                memory_bytes=item.memory_bytes,
            )
            for positions, arm, item in zip(prepared.cohorts, first, prepared.loads, strict=True)
        ],
        epochs=spec.epochs,
        training_rows=train,
        validation_rows=validation,
        steps=steps,
        parameters=count_parameters(stages(prepared.spec)),
        predicted_seconds=prepared.seconds(session),
        memory_bytes=prepared.memory_bytes,
        warnings=[
            *prepared.warnings,
            *no_worker(session, spec.device),
            *([f"refused at present: {full}"] if full else []),
        ],
        spec=prepared.spec.canonical(),
        spec_digest=prepared.spec.digest(),
    )


def _check_size(spec: ExperimentSpec, settings: Settings) -> None:
    count = grids.size(spec)
    if count > settings.max_trials:
        message = f"the grid has {count} trials; this service accepts at most {settings.max_trials}"
        raise GridTooLargeError(message, [FieldProblem("", message)])


def _check_arms(grid: Grid) -> None:
    """Refuse explicit arms that are written differently and are one: what an arm leaves out is the spec's own."""
    places: dict[str, int] = {}
    for place, arm in enumerate(grid.arms):
        if (other := places.setdefault(arm.key(), place)) != place:
            message = f"is arm {other} once more, when what both leave out is filled in; every arm must differ"
            raise invalid_spec([FieldProblem(f"/arms/{place}", message)])


def _check_initializers(spec: ExperimentSpec, grid: Grid) -> None:
    """Refuse pairs that no network can start from; they would only fail once it is their turn."""
    reasons = undrawable_pairs(spec, grid)
    if reasons:
        way_out = "" if spec.arms is not None else "; leave it out, or name the pairs you want in `arms`"
        problems = [
            FieldProblem(f"/arms/{position}/initializer" if spec.arms is not None else "/initializer", reason + way_out)
            for position, reason in list(reasons.items())[:MOST_PROBLEMS]
        ]
        raise invalid_spec([*problems, *left_out(len(reasons) - len(problems))])


def _check_hypotheses(spec: ExperimentSpec, grid: Grid) -> None:
    if wrong := unreadable_hypotheses(spec, grid, MOST_PROBLEMS):
        problems = [FieldProblem(f"/hypotheses/{index}", message) for index, message in wrong.items()]
        unread = len(spec.hypotheses) - max(wrong) - 1 if len(problems) == MOST_PROBLEMS else 0
        raise invalid_spec([*problems, *left_out(unread)])


def _memory(loads: Sequence[Load]) -> int:
    return max(item.memory_bytes for item in loads)


def _most_memory() -> int:
    return int(psutil.virtual_memory().total * MEMORY_SHARE)


def _check_memory(needed: int) -> None:
    most = _most_memory()
    if needed > most:
        message = (
            f"one trial needs about {needed / 2**30:.1f} GiB; at most {most / 2**30:.1f} GiB are allowed: "
            "make the network, the batch or the training rows smaller"
        )
        raise GridTooLargeError(message, [FieldProblem("/model", message)])


def _data_notes(spec: ExperimentSpec, data_dir: Path) -> list[str]:
    dataset = spec.dataset
    missing = [source.path for source in dataset.files if locate(source, data_dir) is None]
    if not missing:
        return [*dataset.notes(data_dir)]
    return [f"{dataset.name} is not here yet: {', '.join(missing)} will be fetched at first use"]
