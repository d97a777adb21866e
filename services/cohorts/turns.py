"""Whose turn it is: the queue is shared between experiments, so that a small one is not behind all of a large one.

Between the experiments that have a cohort to claim, the lowest `priority` comes first, then the one of which least
runs, then the one that was served longest ago. Being served is counted, not timed: a claim gives its experiment the
highest `turn` there is, plus one, and a new experiment starts with the highest there is. So it comes after those that
have waited since before it, and before those that were served after it came; no clock that is set back and no stream
of new experiments can keep anybody waiting for ever.
"""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    Subquery,
    and_,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from services.cohorts.budgets import BACKOFF_CAP_SECONDS
from services.db.clock import CLOCK
from services.db.isolation import EVERY_WORKSPACE
from services.db.tables import CohortRow, ExperimentRow

DEVICES = ("cpu", "gpu")
"""What a spec can ask for; without a wish any will do."""
CANDIDATES = 4
"""Experiments tried in their order when others claim at the same moment; then whatever there is."""
OPEN = ("queued", "running")
"""States of an experiment that may have a queued cohort; one that has not begun comes first."""


def due() -> ColumnElement[bool]:
    """Whether a cohort waits for a worker now.

    A time further ahead than any backoff was written by a clock that has been set back since: it is due too.
    """
    there = or_(CohortRow.available_at <= CLOCK, CohortRow.available_at > CLOCK + BACKOFF_CAP_SECONDS)
    return and_(CohortRow.state == "queued", there)


def waiting(session: Session, devices: Sequence[str] = DEVICES) -> bool:
    """Whether a cohort could be claimed now by a worker that trains on these devices."""
    query = select(ExperimentRow.id).where(ExperimentRow.state.in_(OPEN), _fits(devices), _first_due().is_not(None))
    return session.execute(query.limit(1)).first() is not None


def next_cohort(session: Session, devices: Sequence[str] = DEVICES) -> str | None:
    """The cohort that is to be claimed next, locked; None when there is none for these devices.

    Where several ask at the same moment, each gets another one. They do not wait for one another, so the order may be
    off by as many; the next claim makes up for it.
    """
    experiments = session.scalars(in_turn(tuple(devices))).all()
    for experiment_id in experiments:
        first = select(CohortRow.id).where(CohortRow.experiment_id == experiment_id, due())
        if (cohort_id := _locked(session, first)) is not None:
            return cohort_id
    if not experiments:
        return None
    others = select(CohortRow.id).join(ExperimentRow, ExperimentRow.id == CohortRow.experiment_id)
    return _locked(session, others.where(due(), _fits(devices)))


@lru_cache(maxsize=8)
def in_turn(devices: tuple[str, ...] = DEVICES) -> Select[str]:
    """The experiments that have a cohort to claim, in their order; not more than are tried.

    However many there are, few are looked at: those of which nothing runs are walked in the order of an index until
    enough have a cohort that is due, and no more than there are slots can be running.

    A share between those who submit goes here: their own turn first, then `mine` are the experiments of that one.
    The statement is kept, for to build it takes longer than to run it.
    """
    mine = and_(_fits(devices), _first_due().is_not(None))
    place = (ExperimentRow.priority, ExperimentRow.turn, ExperimentRow.created_at, ExperimentRow.id)
    running = _counts_of_running()
    idle = [
        select(*place, literal(0).label("running"), literal(begun).label("begun"))
        .where(ExperimentRow.state == state, mine, ExperimentRow.id.not_in(select(running.c.experiment_id)))
        .order_by(*place)
        .limit(CANDIDATES)
        .subquery()
        .select()
        for begun, state in enumerate(OPEN)
    ]
    busy = (
        select(*place, running.c.count, literal(1))
        .join(running, running.c.experiment_id == ExperimentRow.id)
        .where(ExperimentRow.state == "running", mine)
    )
    found = union_all(*idle, busy).subquery()
    order = (found.c.priority, found.c.running, found.c.turn, found.c.begun, found.c.created_at, found.c.id)
    return select(found.c.id).order_by(*order).limit(CANDIDATES)


def gives_way(session: Session, cohort_id: str, devices: Sequence[str] = DEVICES) -> bool:
    """Whether this running cohort is to be set down at its next checkpoint: an experiment waits that has never begun.

    Of all that run only one is asked, of the experiment that has most running; and never by one of higher `priority`.
    """
    mine = select(ExperimentRow.priority).join(CohortRow, CohortRow.experiment_id == ExperimentRow.id)
    most = mine.where(CohortRow.id == cohort_id).scalar_subquery()
    newcomer = select(ExperimentRow.id).where(
        ExperimentRow.state == "queued",
        ExperimentRow.started_at.is_(None),
        ExperimentRow.priority <= most,
        _fits(devices),
        _first_due().is_not(None),
    )
    if session.execute(newcomer.limit(1)).first() is None:
        return False
    counts = _counts_of_running()
    running = select(CohortRow.id).join(counts, counts.c.experiment_id == CohortRow.experiment_id)
    chosen = running.where(CohortRow.state == "running").order_by(counts.c.count.desc(), CohortRow.id).limit(1)
    return session.execute(chosen).scalar_one_or_none() == cohort_id


def latest_turn(session: Session) -> int:
    """The turn of the experiment that was served last: where a new one begins."""
    return session.execute(select(_highest()), execution_options=EVERY_WORKSPACE).scalar_one()


def served(session: Session, experiment_id: str) -> None:
    """Put the experiment behind all others that wait."""
    turn = update(ExperimentRow).where(ExperimentRow.id == experiment_id).values(turn=_highest() + 1)
    session.execute(turn.execution_options(synchronize_session=False))


def _highest() -> ScalarSelect[int]:
    return select(func.coalesce(func.max(ExperimentRow.turn), 0)).correlate(None).scalar_subquery()


def _fits(devices: Sequence[str]) -> ColumnElement[bool]:
    """Experiments that a worker with these devices can train; one without any can train nothing."""
    return or_(ExperimentRow.device.is_(None), ExperimentRow.device.in_(devices)) if devices else false()


def _first_due() -> ScalarSelect[str]:
    """The experiment's first cohort that is due, NULL when none is. A scalar is looked up; a join may read all."""
    mine = select(CohortRow.id).where(CohortRow.experiment_id == ExperimentRow.id, due())
    return mine.limit(1).correlate(ExperimentRow).scalar_subquery()


def _counts_of_running() -> Subquery:
    """How many cohorts run, by experiment; those of which none runs are left out."""
    return (
        select(CohortRow.experiment_id, func.count().label("count"))
        .where(CohortRow.state == literal_column("'running'"))  # in words, as in the index: no parameter fits that
        .group_by(CohortRow.experiment_id)
        .subquery()
    )


def _locked(session: Session, cohorts: Select[str]) -> str | None:
    """The first of these cohorts that no other transaction holds, locked."""
    first = (
        cohorts.order_by(CohortRow.priority, CohortRow.created_at, CohortRow.position, CohortRow.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=CohortRow)  # SQLite has no such clause and needs none: it has one writer
    )
    return session.execute(first).scalar_one_or_none()
