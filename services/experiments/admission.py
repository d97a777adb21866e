"""How much unfinished work the service takes: counted in the transaction that adds to it, so that no two pass at once.

Unfinished is what is queued, running or paused: a pause makes no room, and so a resume needs none. Nor do rounds of
seeds: their experiment was taken with all that it may grow to. A submission, a copy and a retry are refused beyond the
limits, and a refusal changes nothing: what has failed stays stored and can be retried later.

A workspace may have a limit of its own, so that one cannot fill the service for all others.
"""

import math
from dataclasses import dataclass

import structlog
from sqlalchemy import Select, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from services.db.isolation import EVERY_WORKSPACE, workspace_of
from services.db.tables import CohortRow, ExperimentRow
from services.errors import FirstlightError, QueueFullError, WorkspaceFullError
from services.settings import Settings

log = structlog.get_logger(__name__)

UNFINISHED = ("queued", "running", "paused")
UNDER_WAY = ("queued", "running")
LEAST_SECONDS, MOST_SECONDS = 5.0, 3600.0
"""Bounds of when to come back: quotes are estimates, and others may cancel what waits."""
LOCK = 0x66697273_6C697468
"""Of PostgreSQL: one submission is counted at a time. SQLite has one writer anyway."""


@dataclass(frozen=True)
class _Limit:
    """The most that a workspace, or the service where none is named, takes; None for any number."""

    error: type[FirstlightError]
    trials: int | None
    experiments: int | None
    workspace: str | None = None


def admit(session: Session, settings: Settings, trials: int, experiments: int = 1) -> None:
    """Let this much more work be stored in this transaction, or refuse it.

    Raises:
        WorkspaceFullError: a limit of the session's workspace would be passed; it says when there may be room.
        QueueFullError: a limit of the service would be passed; it says the same.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    if (refused := refusal(session, settings, trials, experiments)) is not None:
        raise refused


def refusal(session: Session, settings: Settings, trials: int, experiments: int = 1) -> FirstlightError | None:
    """The error that adding so much work would raise now; None where there is room."""
    of_workspace = (settings.max_workspace_trials, settings.max_workspace_experiments, workspace_of(session))
    of_service = (settings.max_unfinished_trials, settings.max_unfinished_experiments)
    for limit in (_Limit(WorkspaceFullError, *of_workspace), _Limit(QueueFullError, *of_service)):
        if (refused := _beyond(session, limit, trials, experiments)) is not None:
            return refused
    return None


def _beyond(session: Session, limit: _Limit, trials: int, experiments: int) -> FirstlightError | None:
    counts = (
        ("trials", _unfinished_trials(limit), trials, limit.trials),
        ("experiments", _unfinished_experiments(limit), experiments, limit.experiments),
    )
    for what, query, added, most in counts:
        if most is None:
            continue
        present = int(session.execute(query, execution_options=EVERY_WORKSPACE).scalar_one())
        if present + added > most:
            seconds = _seconds_until_room(session, limit, (present + added - most) / max(1, present))
            adds = f"{added} {what if added != 1 else what.removesuffix('s')}"
            whose = "service" if limit.workspace is None else "workspace"
            detail = (
                f"the {whose} has {present} unfinished {what} and takes at most {most}; this adds {adds}: "
                f"come back in about {seconds:.0f} s, or cancel what is not needed"
            )
            return limit.error(detail, retry_after=seconds)
    return None


def _unfinished_trials(limit: _Limit) -> Select[int]:
    query = select(func.coalesce(func.sum(CohortRow.size), 0)).where(CohortRow.state.in_(UNFINISHED))
    if limit.workspace is None:
        return query
    owners = query.join(ExperimentRow, ExperimentRow.id == CohortRow.experiment_id)
    return owners.where(ExperimentRow.workspace_id == limit.workspace)


def _unfinished_experiments(limit: _Limit) -> Select[int]:
    query = select(func.count()).select_from(ExperimentRow).where(ExperimentRow.state.in_(UNFINISHED))
    return query if limit.workspace is None else query.where(ExperimentRow.workspace_id == limit.workspace)


def _seconds_until_room(session: Session, limit: _Limit, share: float) -> float:
    """Seconds until this share of what is unfinished has been worked off, by the quotes of what is not paused."""
    left = (
        select(CohortRow.experiment_id, func.sum(CohortRow.size).label("trials"))
        .where(CohortRow.state.in_(UNDER_WAY))
        .group_by(CohortRow.experiment_id)
        .subquery()
    )
    expected = ExperimentRow.quote["seconds"]["expected"].as_float()
    total = select(func.sum(expected * left.c.trials / ExperimentRow.trial_count))
    if limit.workspace is not None:
        total = total.where(ExperimentRow.workspace_id == limit.workspace)
    try:
        every = total.join(left, left.c.experiment_id == ExperimentRow.id)
        seconds = session.execute(every, execution_options=EVERY_WORKSPACE).scalar_one() or 0.0
    except SQLAlchemyError as error:  # a stored quote that cannot be read must not turn a refusal into an error
        log.warning("queue_not_quoted", error=f"{type(error).__name__}: {error}"[:300])
        seconds = 0.0
    return float(math.ceil(min(max(share * seconds, LEAST_SECONDS), MOST_SECONDS)))
