"""What finished cohorts took, kept by the shape of their work, for the next quote.

Kept are microseconds per trial and step (evaluation and layer diagnostics included) and seconds from the claim to the
end beyond the training, each as an exponential average for one engine and device, how far a new measurement was off
the average before it, and how long the measured trainings were: what took milliseconds says little of hours.
"""

import hashlib
import math
from dataclasses import dataclass

import orjson
from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from services.db.base import now
from services.db.tables import CalibrationRow, CohortRow, ExperimentRow, TrialRow
from services.quotes.calibration_keys import Place, RateKey, read_rate_key, shape_prefix, startup_key
from services.quotes.correction import MOST_STARTUP
from services.science.datasets import plan_rows
from services.science.spec import Arm, ExperimentSpec

MEMORY = 0.7
"""How much of the old average a new measurement leaves."""
UNKNOWN_SECONDS = 1.0
"""How long measured trainings are taken to have been where that was not kept yet."""
FIRST_SPREAD = 0.25
"""Spread assumed after a single measurement: about a quarter more or less."""


@dataclass(frozen=True)
class Rate:
    """What is known of one shape.

    Attributes:
        microseconds: per trial and step.
        startup_seconds: of a cohort, beyond its training.
        spread: mean of the logarithm by which measurements were off.
        samples: how many there were.
        place: engine and device.
        seconds: how long the measured trainings were.
    """

    microseconds: float
    startup_seconds: float
    spread: float
    samples: int
    place: Place
    seconds: float = UNKNOWN_SECONDS


def undisturbed() -> tuple[ColumnElement[bool], ...]:
    """Conditions of the succeeded cohorts whose `duration_seconds` is that of their epochs, each trained once.

    A cohort that gave way, was paused or was given back goes on from the end of an epoch, so that none counts twice.
    One that failed or was lost was disturbed in ways that its time does not tell, and one that was split has the time
    of both parts.
    """
    return (
        CohortRow.state == "succeeded",
        CohortRow.attempt == 1 + CohortRow.interruptions,
        CohortRow.failures == 0,
        CohortRow.losses == 0,
        CohortRow.parent_id.is_(None),
        CohortRow.duration_seconds > 0.0,
        CohortRow.started_at.is_not(None),
        CohortRow.finished_at.is_not(None),
    )


def all_succeeded() -> ColumnElement[bool]:
    """Condition of the cohorts of which no trial diverged and so ended before its time."""
    return ~exists().where(TrialRow.cohort_id == CohortRow.id, TrialRow.state != "succeeded")


def shape_key(spec: ExperimentSpec, arm: Arm, trials: int) -> str:
    """A digest of all that makes a step of a cohort longer or shorter, but for the machine.

    Widths count by powers of two, and activations not at all: cohorts mix them.
    """
    assert spec.model is not None
    parts = [
        spec.model.model_dump(mode="json"),
        spec.loss,
        list(spec.dataset.input_shape),
        spec.outputs,
        arm.batch_size,
        arm.optimizer.kind,
        arm.activation.width_factor,
        round(math.log2(trials)),
    ]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:24]


def trial_steps(spec: ExperimentSpec, batch_size: int, trials: int) -> int:
    """Optimizer steps of all trials of a cohort."""
    train, _ = plan_rows(spec.dataset)
    return trials * spec.epochs * math.ceil(train / batch_size)


def learn(session: Session, cohort_id: str, engine: str) -> bool:
    """Take note of what a succeeded cohort took; false when it says nothing of the next one.

    A cohort that was disturbed, or of which a trial diverged, is left out: some of its work was done twice or never.
    Of one that gave way only the training counts.
    """
    cohort = session.scalars(
        select(CohortRow).where(CohortRow.id == cohort_id, *undisturbed(), all_succeeded())
    ).one_or_none()
    if cohort is None:
        return False
    assert cohort.started_at is not None
    assert cohort.finished_at is not None
    stored = session.execute(select(ExperimentRow.spec).where(ExperimentRow.id == cohort.experiment_id)).scalar_one()
    spec = ExperimentSpec.model_validate(stored).resolved()
    first = session.execute(select(TrialRow.arm).where(TrialRow.cohort_id == cohort_id).limit(1)).scalar_one()
    arm = Arm.model_validate(first)
    key = RateKey(shape_key(spec, arm, cohort.size), Place(engine, str(cohort.device)))
    measured = cohort.duration_seconds / trial_steps(spec, arm.batch_size, cohort.size) * 1e6
    beyond = (cohort.finished_at - cohort.started_at).total_seconds() - cohort.duration_seconds
    average = session.get(CalibrationRow, str(key))
    if average is not None:
        _average(session, key.spread, abs(math.log(measured / average.value)))
    _average(session, str(key), measured)
    _average(session, key.seconds, cohort.duration_seconds)
    if cohort.attempt == 1:
        _average_startup(session, startup_key(key.place), beyond)
    return True


def _average_startup(session: Session, key: str, beyond: float) -> None:
    """One start that was held up, by a suspended machine or a slow disk, must not stand for all."""
    usual = session.get(CalibrationRow, key)
    most = MOST_STARTUP if usual is None else min(MOST_STARTUP, 1.0 + 4.0 * usual.value)
    _average(session, key, min(most, max(0.0, beyond)))


def known_rate(session: Session, shape: str) -> Rate | None:
    """What was measured last for a shape, on whatever engine and device; None when nothing was."""
    rows = {
        row.key: row
        for row in session.scalars(
            select(CalibrationRow).where(CalibrationRow.key.startswith(shape_prefix(shape), autoescape=True))
        )
    }
    rates = [(row, key) for row in rows.values() if (key := read_rate_key(row.key)) is not None]
    if not rates:
        return None
    row, key = max(rates, key=lambda rate: rate[0].updated_at)
    startup = session.get(CalibrationRow, startup_key(key.place))
    spread, seconds = rows.get(key.spread), rows.get(key.seconds)
    return Rate(
        row.value,
        0.0 if startup is None else startup.value,
        FIRST_SPREAD if spread is None else spread.value,
        row.samples,
        key.place,
        UNKNOWN_SECONDS if seconds is None else seconds.value,
    )


def _average(session: Session, key: str, value: float) -> None:
    row = session.get(CalibrationRow, key)
    if row is None:
        session.add(CalibrationRow(key=key, value=value, samples=1))
        return
    row.value = MEMORY * row.value + (1 - MEMORY) * value
    row.samples += 1
    row.updated_at = now()
