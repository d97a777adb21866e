"""How long a grid will take: from what cohorts of the same shape took here, else from a count of the arithmetic."""

import math
import statistics
from collections.abc import Sequence

from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.isolation import EVERY_WORKSPACE
from services.db.tables import CohortRow, ExperimentRow
from services.quotes.cost import Load
from services.quotes.history import Rate, known_rate
from services.quotes.machine import ASSUMED, Machine

HISTORY = 20
"""How many finished cohorts correct a count of the arithmetic."""
LEAST_HISTORY = 3
SEARCHED = 10 * HISTORY
"""Among how many finished cohorts those are looked for whose quotes rest on the same rates."""
ASSUMED_RANGE = (1.0, 0.25, 4.0)
MEASURED_RANGE = (1.0, 0.5, 2.0)
"""Centre, low and high of a count at assumed and at measured rates; see docs/decisions/006."""


class Seconds(BaseModel):
    """A predicted duration with the range that earlier predictions earned."""

    expected: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    basis: str


def predict(session: Session, loads: Sequence[Load], lanes: int, machine: Machine = ASSUMED) -> Seconds:
    """Predict each cohort and spread them over `lanes` at once; `machine` is the one the loads were counted for."""
    rates = {load.shape: known_rate(session, load.shape) for load in loads}
    missing = any(rate is None for rate in rates.values())
    correction, basis = _correction(session, machine) if missing else ((1.0, 1.0, 1.0), "")
    cohorts = [_cohort(load, rates[load.shape], correction) for load in loads]
    expected, low, high = (_spread([cohort[place] for cohort in cohorts], lanes) for place in range(3))
    if missing:
        high += machine.import_seconds  # the first cohort waits for its process where none stands ready
    stored_rates = [rate for rate in rates.values() if rate is not None]
    if stored_rates:
        samples = sum(rate.samples for rate in stored_rates)
        places = ", ".join(sorted({f"{rate.place.engine} on {rate.place.device}" for rate in stored_rates}))
        measured = f"{samples} finished cohort{'s' if samples > 1 else ''} of the same shape ({places})"
        basis = f"{measured}; for the rest {basis}" if missing else measured
    return Seconds(expected=expected, low=low, high=high, basis=basis)


def _cohort(load: Load, rate: Rate | None, correction: tuple[float, float, float]) -> tuple[float, float, float]:
    """Expected, least and most seconds of one cohort."""
    if rate is None:
        centre, low, high = correction
        return load.seconds * centre, load.seconds * low, load.seconds * high
    seconds = rate.startup_seconds + load.trial_steps * rate.microseconds * 1e-6
    factor = math.exp(2.0 * rate.spread)
    return seconds, seconds / factor, seconds * factor


def _spread(seconds: Sequence[float], lanes: int) -> float:
    return max(sum(seconds) / max(1, lanes), *seconds)


def _correction(session: Session, machine: Machine) -> tuple[tuple[float, float, float], str]:
    """By what to multiply a count of the arithmetic: centre, low and high; and what that rests on."""
    count = "a count of the arithmetic"
    if machine.measured:
        count += " at the rates measured on a worker's machine"
    ratios = _history(session, machine)
    if len(ratios) < LEAST_HISTORY:
        ratio_range = MEASURED_RANGE if machine.measured else ASSUMED_RANGE
        return ratio_range, f"{count}; nothing comparable has finished here yet"
    cuts = statistics.quantiles(ratios, n=10, method="inclusive")
    return (
        statistics.median(ratios),
        cuts[0],
        cuts[-1],
    ), f"{count}, corrected by the last {len(ratios)} finished cohorts"


def _history(session: Session, machine: Machine) -> list[float]:
    """Measured over counted seconds of the last cohorts that ran through.

    Only counts by the same rates are compared: what others were off says nothing of these.
    """
    rows = session.execute(
        select(CohortRow.position, CohortRow.started_at, CohortRow.finished_at, ExperimentRow.quote)
        .join(ExperimentRow, ExperimentRow.id == CohortRow.experiment_id)
        .where(CohortRow.state == "succeeded", CohortRow.attempt == 1, CohortRow.finished_at.is_not(None))
        .order_by(CohortRow.finished_at.desc())
        .limit(SEARCHED),
        # How quick the machine is, is nobody's secret: times of every workspace count.
        execution_options=EVERY_WORKSPACE,
    )
    ratios: list[float] = []
    for position, started, finished, quote in rows:
        if quote is None or quote.get("machine", "") != machine.digest:
            continue
        predicted = quote.get("cohort_seconds", [])
        if started and finished and position < len(predicted) and predicted[position] > 0:
            ratios.append(max(0.001, (finished - started).total_seconds() / predicted[position]))
    return ratios[:HISTORY]
