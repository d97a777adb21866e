"""The event log of an experiment: what an event stream delivers, in a dense order that no reader can miss a part of.

    state     {"state", "previous"}                        the experiment moved; the first of all, which tells of the
                                                           submission, also has what `origin.py` says
    epoch     {"cohort_id", "from", "epoch", "epochs",     epochs `from` to `epoch` (both included) of one cohort are
               "trials"}                                   stored; `epochs` is the total, `trials` how many train
    progress  {"progress", "eta_seconds", "epochs_done", "epochs_total", "trials": {counts by state}}
    done      {"state"}                                    the last event

Old events are removed after a while, the last one excepted; `services/experiments/timeline.py` tells a reader so.

The rows of an epoch event are read when it is delivered: those of `members(session, cohort_id, seq)`.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from services.db.base import now
from services.db.tables import CohortRow, EventRow, ExperimentRow, TrialRow

Event = tuple[str, dict[str, Any]]


def append(session: Session, experiment_id: str, events: Sequence[Event]) -> int:
    """Append events in order and return the last sequence number (numbers start at 1).

    The experiment's row is locked by taking the numbers, so they become visible in their order.
    """
    last = session.execute(
        update(ExperimentRow)
        .where(ExperimentRow.id == experiment_id)
        .values(event_seq=ExperimentRow.event_seq + len(events), version=ExperimentRow.version + 1)
        .returning(ExperimentRow.event_seq)
    ).scalar_one()
    if events:
        first, moment = last - len(events) + 1, now()
        rows = [
            {"experiment_id": experiment_id, "seq": first + i, "type": kind, "payload": payload, "created_at": moment}
            for i, (kind, payload) in enumerate(events)
        ]
        session.execute(insert(EventRow), rows)
    return last


def members(session: Session, cohort_id: str, seq: int) -> list[str]:
    """The trials that belonged to the cohort when event `seq` happened, in grid order.

    A cohort that was split later has given trials away: they are found through the cohorts split off it after `seq`.
    """
    cohorts, frontier = {cohort_id}, [cohort_id]
    while frontier:
        split_off = select(CohortRow.id).where(CohortRow.parent_id.in_(frontier), CohortRow.parent_seq >= seq)
        frontier = [part for part in session.scalars(split_off) if part not in cohorts]
        cohorts.update(frontier)
    query = select(TrialRow.id).where(TrialRow.cohort_id.in_(cohorts)).order_by(TrialRow.position)
    return list(session.scalars(query))


def forget(session: Session, before: datetime, limit: int) -> int:
    """Remove at most `limit` events from before a moment, the oldest of one experiment; returns how many.

    The last event of an experiment stays: a stream that comes late still learns how it ended. What goes is always the
    beginning of a log, so that a reader can tell by the first number how much is gone.
    """
    first = (
        select(EventRow.created_at)
        .where(EventRow.experiment_id == ExperimentRow.id, EventRow.seq < ExperimentRow.event_seq)
        .order_by(EventRow.seq)
        .limit(1)
        .correlate(ExperimentRow)
        .scalar_subquery()
    )
    query = (
        select(ExperimentRow.id, ExperimentRow.event_seq)
        .where(ExperimentRow.created_at < before, first < before)
        .order_by(ExperimentRow.created_at)
        .limit(1)
    )
    experiment = session.execute(query).one_or_none()
    if experiment is None:
        return 0
    beginning = session.execute(
        select(EventRow.seq, EventRow.created_at)
        .where(EventRow.experiment_id == experiment.id, EventRow.seq < experiment.event_seq)
        .order_by(EventRow.seq)
        .limit(limit)
    )
    old = [row.seq for row in takewhile(lambda row: row.created_at < before, beginning)]
    if old:  # unless another worker has just removed them
        session.execute(delete(EventRow).where(EventRow.experiment_id == experiment.id, EventRow.seq <= old[-1]))
    return len(old)
