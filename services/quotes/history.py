"""What finished cohorts took, kept by the shape of their work, for the next quote.

Kept are microseconds per trial and step (evaluation and layer diagnostics included) and seconds from the claim to the
end beyond the training, each as an exponential average for one engine and device, and how far a new measurement was
off the average before it.
"""

import hashlib
import math
from dataclasses import dataclass

import orjson
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.db.base import now
from services.db.tables import CalibrationRow, CohortRow, ExperimentRow, TrialRow
from services.quotes.calibration_keys import Place, RateKey, read_rate_key, shape_prefix, startup_key
from services.science.datasets import plan_rows
from services.science.spec import Arm, ExperimentSpec

MEMORY = 0.7
"""How much of the old average a new measurement leaves."""
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
    """

    microseconds: float
    startup_seconds: float
    spread: float
    samples: int
    place: Place


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

    A cohort that was interrupted, or of which a trial diverged, is left out: some of its work was done twice or never.
    """
    cohort = session.get_one(CohortRow, cohort_id)
    ill = session.execute(
        select(func.count()).where(TrialRow.cohort_id == cohort_id, TrialRow.state != "succeeded")
    ).scalar_one()
    if cohort.state != "succeeded" or cohort.attempt != 1 or ill or cohort.duration_seconds <= 0.0:
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
    _average(session, startup_key(key.place), max(0.0, beyond))
    return True


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
    spread = rows.get(key.spread)
    return Rate(
        row.value,
        0.0 if startup is None else startup.value,
        FIRST_SPREAD if spread is None else spread.value,
        row.samples,
        key.place,
    )


def _average(session: Session, key: str, value: float) -> None:
    row = session.get(CalibrationRow, key)
    if row is None:
        session.add(CalibrationRow(key=key, value=value, samples=1))
        return
    row.value = MEMORY * row.value + (1 - MEMORY) * value
    row.samples += 1
    row.updated_at = now()
