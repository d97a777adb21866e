"""Whose turn it is: the queue is shared between workspaces, and the share of one between its experiments.

Between the workspaces that have a cohort to claim, the one of which least runs comes first, then the one that was
served longest ago. Between the experiments of a workspace, the lowest `priority` comes first, then again the one of
which least runs, then the one that was served longest ago. So neither a large study nor a thousand small ones of one
workspace stand before the only one of another.

Being served is counted, not timed: a claim gives its workspace and its experiment the highest `turn` there is, plus
one, and a new one starts with the highest there is. So it comes after those that have waited since before it, and
before those that were served after it came; no clock that is set back and no stream of new experiments can keep anybody
waiting for ever. The turn of a workspace is its own and not that of its experiments, which can be deleted.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    Subquery,
    Update,
    and_,
    bindparam,
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
from services.db.tables import CohortRow, ExperimentRow, WorkspaceRow

DEVICES = ("cpu", "gpu")
"""What a spec can ask for; without a wish any will do."""
CANDIDATES = 4
"""Workspaces, and experiments of each, tried in order when others claim at the same moment; then whatever there is."""
OPEN = ("queued", "running")
"""States of an experiment that may have a queued cohort; one that has not begun comes first."""
_RUNS = CohortRow.state == literal_column("'running'")  # in words, as in the index: no parameter fits that


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
    workspaces = session.scalars(workspaces_in_turn(tuple(devices))).all()
    for workspace_id in workspaces:
        for experiment_id in session.scalars(in_turn(tuple(devices)), {"workspace": workspace_id}).all():
            first = select(CohortRow.id).where(CohortRow.experiment_id == experiment_id, due())
            if (cohort_id := _locked(session, first)) is not None:
                return cohort_id
    if not workspaces:
        return None
    others = select(CohortRow.id).join(ExperimentRow, ExperimentRow.id == CohortRow.experiment_id)
    return _locked(session, others.where(due(), _fits(devices)))


@lru_cache(maxsize=8)
def workspaces_in_turn(devices: tuple[str, ...] = DEVICES) -> Select[str]:
    """The workspaces that have a cohort to claim, in their order; not more than are tried.

    Those of which nothing runs are walked in the order of their turns until enough have a cohort that is due.
    The statement is kept, for to build it takes longer than to run it.
    """
    # A scalar is looked up; a join may read all.
    owner = select(ExperimentRow.workspace_id).where(ExperimentRow.id == CohortRow.experiment_id).scalar_subquery()
    of_running = select(owner.label("workspace_id")).where(_RUNS).subquery()
    counts = (
        select(of_running.c.workspace_id, func.count().label("count")).group_by(of_running.c.workspace_id).subquery()
    )
    has_work = or_(*(_first_of_workspace(state, devices).is_not(None) for state in OPEN))
    place = (WorkspaceRow.turn, WorkspaceRow.id)
    idle = (
        select(*place, literal(0).label("running"))
        .where(has_work, WorkspaceRow.id.not_in(select(counts.c.workspace_id)))
        .order_by(*place)
        .limit(CANDIDATES)
        .subquery()
        .select()
    )
    busy = select(*place, counts.c.count).join(counts, counts.c.workspace_id == WorkspaceRow.id).where(has_work)
    all_ = union_all(idle, busy).subquery()
    return select(all_.c.id).order_by(all_.c.running, all_.c.turn, all_.c.id).limit(CANDIDATES)


@lru_cache(maxsize=8)
def in_turn(devices: tuple[str, ...] = DEVICES) -> Select[str]:
    """The experiments of the parameter `workspace` that have a cohort to claim, in their order; few, as above.

    However many there are, few are looked at: those of which nothing runs are walked in the order of an index until
    enough have a cohort that is due, and no more than there are slots can be running.
    """
    of_workspace = ExperimentRow.workspace_id == bindparam("workspace")
    mine = and_(of_workspace, _fits(devices), _first_due().is_not(None))
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
    line = union_all(*idle, busy).subquery()
    order = (line.c.priority, line.c.running, line.c.turn, line.c.begun, line.c.created_at, line.c.id)
    return select(line.c.id).order_by(*order).limit(CANDIDATES)


def gives_way(session: Session, cohort_id: str, devices: Sequence[str] = DEVICES) -> bool:
    """Whether this running cohort is to be set down at its next checkpoint: an experiment waits that has never begun.

    Of all that run only one is asked, of the workspace and then the experiment that has most running. It makes room for
    newcomers of its own workspace that are as urgent, and for those of a workspace with less running: else its own
    workspace would be served next.
    """
    newcomers = {row.id: row.lowest for row in session.execute(_newcomers(devices))}
    if not newcomers:
        return False
    place = select(CohortRow.id, CohortRow.experiment_id, ExperimentRow.workspace_id, ExperimentRow.priority)
    on_slots = place.join(ExperimentRow, ExperimentRow.id == CohortRow.experiment_id).where(
        CohortRow.state == "running"
    )
    running = session.execute(on_slots).all()
    of_workspace = Counter(row.workspace_id for row in running)
    of_experiment = Counter(row.experiment_id for row in running)
    least = min(of_workspace[workspace] for workspace in newcomers)
    could = [
        (-of_workspace[row.workspace_id], -of_experiment[row.experiment_id], row.id)
        for row in running
        if least < of_workspace[row.workspace_id] or newcomers.get(row.workspace_id, row.priority + 1) <= row.priority
    ]
    return bool(could) and min(could)[-1] == cohort_id


def latest_turn(session: Session) -> int:
    """The turn of the experiment that was served last: where a new one begins."""
    return session.execute(select(_highest(ExperimentRow)), execution_options=EVERY_WORKSPACE).scalar_one()


def latest_workspace_turn(session: Session) -> int:
    """The turn of the workspace that was served last: where a new one begins."""
    return session.execute(select(_highest(WorkspaceRow))).scalar_one()


def served(session: Session, experiment_id: str) -> None:
    """Put the experiment and its workspace behind all others that wait.

    A workspace that another claim holds is given a turn by that one: nobody waits for a claimer that sleeps.
    """
    for statement in _put_behind():
        session.execute(statement, {"served": experiment_id}, execution_options={"synchronize_session": False})


@lru_cache(maxsize=1)
def _put_behind() -> tuple[Update, Update]:
    """The two statements of `served`, kept as above."""
    of_experiment = ExperimentRow.id == bindparam("served")
    owner = (
        select(WorkspaceRow.id)
        .join(ExperimentRow, ExperimentRow.workspace_id == WorkspaceRow.id)
        .where(of_experiment)
        .with_for_update(skip_locked=True, key_share=True, of=WorkspaceRow)
    )
    return (
        update(ExperimentRow).where(of_experiment).values(turn=_highest(ExperimentRow) + 1),
        update(WorkspaceRow).where(WorkspaceRow.id.in_(owner)).values(turn=_highest(WorkspaceRow) + 1),
    )


def _highest(row: type[ExperimentRow | WorkspaceRow]) -> ScalarSelect[int]:
    line = row.__table__.alias("line")
    return select(func.coalesce(func.max(line.c.turn), 0)).scalar_subquery()


def _fits(devices: Sequence[str]) -> ColumnElement[bool]:
    """Experiments that a worker with these devices can train; one without any can train nothing."""
    return or_(ExperimentRow.device.is_(None), ExperimentRow.device.in_(devices)) if devices else false()


def _first_due() -> ScalarSelect[str]:
    """The experiment's first cohort that is due, NULL when none is. A scalar is looked up; a join may read all."""
    mine = select(CohortRow.id).where(CohortRow.experiment_id == ExperimentRow.id, due())
    return mine.limit(1).correlate(ExperimentRow).scalar_subquery()


def _first_of_workspace(state: str, devices: Sequence[str]) -> ScalarSelect[str]:
    """The first experiment of a workspace, in this state, that has a cohort to claim."""
    its = (ExperimentRow.workspace_id == WorkspaceRow.id, ExperimentRow.state == state)
    first = select(ExperimentRow.id).where(*its, _fits(devices), _first_due().is_not(None))
    return first.limit(1).correlate(WorkspaceRow).scalar_subquery()


def _newcomers(devices: Sequence[str]) -> Select[str, int | None]:
    """The workspaces that have an experiment that could run and has never begun, and the lowest `priority` of those."""
    its = (ExperimentRow.workspace_id == WorkspaceRow.id, ExperimentRow.state == "queued")
    lowest = (
        select(ExperimentRow.priority)
        .where(*its, ExperimentRow.started_at.is_(None), _fits(devices), _first_due().is_not(None))
        .order_by(ExperimentRow.priority)
        .limit(1)
        .correlate(WorkspaceRow)
        .scalar_subquery()
        .label("lowest")
    )
    each = select(WorkspaceRow.id, lowest).subquery()
    return select(each.c.id, each.c.lowest).where(each.c.lowest.is_not(None))


def _counts_of_running() -> Subquery:
    """How many cohorts run, by experiment; those of which none runs are left out."""
    return (
        select(CohortRow.experiment_id, func.count().label("count"))
        .where(_RUNS)
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
