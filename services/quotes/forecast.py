"""How long a grid will take: from what cohorts of the same shape took here, else from a count of the arithmetic."""

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from services.db.isolation import EVERY_WORKSPACE
from services.db.tables import CohortRow, ExperimentRow
from services.quotes.correction import NARROWEST, STRETCH, Assumed, Correction, Observation, Span, correct
from services.quotes.cost import Load
from services.quotes.history import FIRST_SPREAD, Rate, all_succeeded, known_rate, undisturbed
from services.quotes.machine import ASSUMED, Machine

HISTORY = 20
"""How many of the latest finished cohorts teach the start-up, and how many of the latest long ones the factor."""
SEARCHED = 10 * HISTORY
"""Among how many finished cohorts those are looked for whose quotes rest on the same rates."""
LONG_SECONDS = 0.5
"""From this much training on a cohort is looked for apart, so that many short ones do not push it out of sight."""
ASSUMED_DOUBT, MEASURED_DOUBT = 4.0, 2.0
"""By how much a count at assumed and at measured rates may be off, up or down; see docs/decisions/006."""
STRETCHED = 10.0
"""Up to so many times its own training the rate of a shape is believed whole, beyond that in proportion less."""


class Seconds(BaseModel):
    """A predicted duration with the range that earlier predictions earned."""

    expected: float = Field(ge=0)
    low: float = Field(ge=0)
    high: float = Field(ge=0)
    basis: str


def predict(session: Session, loads: Sequence[Load], lanes: int, machine: Machine = ASSUMED) -> Seconds:
    """Predict each cohort and spread them over `lanes` at once; `machine` is the one the loads were counted for."""
    rates = {load.shape: known_rate(session, load.shape) for load in loads}
    observations = _observations(session, machine)
    doubt = MEASURED_DOUBT if machine.measured else ASSUMED_DOUBT
    assumed = Assumed(machine.startup_seconds, max(machine.startup_seconds, machine.import_seconds), doubt)
    corrections = {
        # Cohorts of one grid are alike: most share their work, and so what is to be learned for it.
        kind: correct(observations, *kind, assumed)
        for kind in {(load.work, load.images) for load in loads}
    }
    cohorts = [_cohort(load, rates[load.shape], corrections[load.work, load.images]) for load in loads]
    expected = _spread([cohort.centre for cohort in cohorts], lanes)
    low = _spread([cohort.low for cohort in cohorts], lanes)
    high = _spread([cohort.high for cohort in cohorts], lanes)
    stored_rates = [rate for rate in rates.values() if rate is not None]
    missing = [load for load in loads if rates[load.shape] is None]
    basis = ""
    if missing:
        high += machine.import_seconds  # the first cohort waits for its process where none stands ready
        largest = max(missing, key=lambda load: load.work)
        basis = _basis(machine, corrections[largest.work, largest.images])
    if stored_rates:
        samples = sum(rate.samples for rate in stored_rates)
        places = ", ".join(sorted({f"{rate.place.engine} on {rate.place.device}" for rate in stored_rates}))
        measured = f"{samples} finished cohort{'s' if samples > 1 else ''} of the same shape ({places})"
        basis = f"{measured}; for the rest {basis}" if missing else measured
    return Seconds(expected=expected, low=low, high=high, basis=basis)


def _cohort(load: Load, rate: Rate | None, correction: Correction) -> Span:
    """Seconds of one cohort: start-up + factor * work, or what its shape took, as far as that reaches."""
    if rate is None:
        span = correction.startup.plus(correction.factor, load.work)
        return Span(*(max(end, load.least_seconds) for end in (span.centre, span.low, span.high)))
    training = load.trial_steps * rate.microseconds * 1e-6
    stretched = training / max(rate.seconds, 1e-9)
    trust = min(1.0, STRETCHED / max(stretched, 1e-9))
    counted = correction.factor.centre * load.work
    if trust < 1.0 and counted > 0.0:
        training = math.exp(trust * math.log(training) + (1 - trust) * math.log(counted))
    # The first measurement was off nothing; of later ones it is known by how much.
    spread = ((rate.samples - 1) * rate.spread + FIRST_SPREAD) / rate.samples
    half = max(NARROWEST, 2.0 * spread) + STRETCH * max(0.0, math.log10(max(stretched, 1.0)))
    half += (1 - trust) * math.log(correction.factor.high / correction.factor.centre)
    training_span = Span(training, training / math.exp(half), training * math.exp(half))
    # Its place says how long a start takes, all finished cohorts how much starts differ.
    usual = correction.startup
    relative = rate.startup_seconds / max(usual.centre, 1e-9)
    starts = Span(rate.startup_seconds, min(1.0, relative) * usual.low, max(1.0, relative) * usual.high)
    return starts.plus(training_span, 1.0)


def _spread(seconds: Sequence[float], lanes: int) -> float:
    return max(sum(seconds) / max(1, lanes), *seconds)


def _basis(machine: Machine, correction: Correction) -> str:
    count = "a count of the arithmetic"
    if machine.measured:
        count += " at the rates measured on a worker's machine"
    if correction.trainings:
        return f"{count}, corrected by the last {_cohorts(correction.trainings)}"
    if correction.starts:
        return f"{count}, with the start-up of the last {_cohorts(correction.starts)}; none of them trained for long"
    return f"{count}; nothing comparable has finished here yet"


def _cohorts(count: int) -> str:
    return f"{count} finished cohort{'s' if count > 1 else ''}" if count > 1 else "finished cohort"


def _observations(session: Session, machine: Machine) -> list[Observation]:
    """The latest finished cohorts, and the latest of those that trained for long.

    Only counts by the same rates are compared: what others were off says nothing of these.
    """
    latest = _finished(session, machine)
    latest.update(_finished(session, machine, CohortRow.duration_seconds >= LONG_SECONDS))
    return list(latest.values())


def _finished(session: Session, machine: Machine, *conditions: ColumnElement[bool]) -> dict[str, Observation]:
    # Whose trials ended well is asked of the latest alone: the database would ask it of all of them before it sorts.
    latest = (
        select(CohortRow.id)
        .where(*undisturbed(), *conditions)
        .order_by(CohortRow.finished_at.desc())
        .limit(SEARCHED)
        .subquery()
    )
    rows = session.execute(
        select(
            CohortRow.id,
            CohortRow.position,
            CohortRow.duration_seconds,
            CohortRow.attempt,
            CohortRow.started_at,
            CohortRow.finished_at,
            ExperimentRow.quote,
        )
        .join(ExperimentRow, ExperimentRow.id == CohortRow.experiment_id)
        .where(CohortRow.id.in_(select(latest.c.id)), all_succeeded())
        .order_by(CohortRow.finished_at.desc()),
        # How quick the machine is, is nobody's secret: times of every workspace count.
        execution_options=EVERY_WORKSPACE,
    )
    observations: dict[str, Observation] = {}
    for name, position, trained, attempt, started, finished, quote in rows:
        work = _counted(quote or {}, position, machine)
        if started and finished and work > 0 and len(observations) < HISTORY:
            beyond = (finished - started).total_seconds() - trained if attempt == 1 else None
            observations[name] = Observation(work, trained, beyond, (quote or {}).get("images"))
    return observations


def _counted(quote: dict[str, Any], position: int, machine: Machine) -> float:
    """Seconds of training that were counted for a cohort; 0 where they were counted at other rates or not at all."""
    if quote.get("machine", "") != machine.digest:
        return 0.0
    counted = quote.get("cohort_work")
    if counted is None:  # of a quote from before the two were kept apart
        counted = [seconds - machine.startup_seconds for seconds in quote.get("cohort_seconds", [])]
    return counted[position] if position < len(counted) else 0.0
