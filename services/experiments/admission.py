"""How much unfinished work the service takes: counted in the transaction that adds to it, so that no two pass at once.

Unfinished is what is queued, running or paused: a pause makes no room, and so a resume needs none. Nor do rounds of
seeds: their experiment was taken with all that it may grow to. A submission, a copy and a retry are refused beyond the
limits, and a refusal changes nothing: what has failed stays stored and can be retried later.
"""

import math

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from services.db.isolation import EVERY_WORKSPACE
from services.db.tables import CohortRow, ExperimentRow
from services.errors import QueueFullError
from services.settings import Settings

log = structlog.get_logger(__name__)

UNFINISHED = ("queued", "running", "paused")
UNDER_WAY = ("queued", "running")
LEAST_SECONDS, MOST_SECONDS = 5.0, 3600.0
"""Bounds of when to come back: quotes are estimates, and others may cancel what waits."""
LOCK = 0x66697273_6C697468
"""Of PostgreSQL: one submission is counted at a time. SQLite has one writer anyway."""


def admit(session: Session, settings: Settings, trials: int, experiments: int = 1) -> None:
    """Let this much more work be stored in this transaction, or refuse it.

    Raises:
        QueueFullError: a limit would be passed; it says when there may be room.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    if (refused := refusal(session, settings, trials, experiments)) is not None:
        raise refused


def refusal(session: Session, settings: Settings, trials: int, experiments: int = 1) -> QueueFullError | None:
    """The error that adding so much work would raise now; None where there is room."""
    in_state = ExperimentRow.state.in_(UNFINISHED)
    present_experiments = session.execute(
        select(func.count()).select_from(ExperimentRow).where(in_state), execution_options=EVERY_WORKSPACE
    ).scalar_one()
    counted = select(func.coalesce(func.sum(CohortRow.size), 0)).where(CohortRow.state.in_(UNFINISHED))
    present_trials = int(session.execute(counted, execution_options=EVERY_WORKSPACE).scalar_one())
    for what, present, added, most in (
        ("trials", present_trials, trials, settings.max_unfinished_trials),
        ("experiments", present_experiments, experiments, settings.max_unfinished_experiments),
    ):
        if present + added > most:
            seconds = _seconds_until_room(session, (present + added - most) / max(1, present))
            adds = f"{added} {what if added != 1 else what.removesuffix('s')}"
            detail = (
                f"the service has {present} unfinished {what} and takes at most {most}; this adds {adds}: "
                f"come back in about {seconds:.0f} s, or cancel what is not needed"
            )
            return QueueFullError(detail, retry_after=seconds)
    return None


def _seconds_until_room(session: Session, share: float) -> float:
    """Seconds until this share of what is unfinished has been worked off, by the quotes of what is not paused."""
    left = (
        select(CohortRow.experiment_id, func.sum(CohortRow.size).label("trials"))
        .where(CohortRow.state.in_(UNDER_WAY))
        .group_by(CohortRow.experiment_id)
        .subquery()
    )
    expected = ExperimentRow.quote["seconds"]["expected"].as_float()
    total = select(func.sum(expected * left.c.trials / ExperimentRow.trial_count))
    try:
        every = total.join(left, left.c.experiment_id == ExperimentRow.id)
        seconds = session.execute(every, execution_options=EVERY_WORKSPACE).scalar_one() or 0.0
    except SQLAlchemyError as error:  # a stored quote that cannot be read must not turn a refusal into an error
        log.warning("queue_not_quoted", error=f"{type(error).__name__}: {error}"[:300])
        seconds = 0.0
    return float(math.ceil(min(max(share * seconds, LEAST_SECONDS), MOST_SECONDS)))
