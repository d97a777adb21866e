"""The event log of an experiment: what an event stream delivers, in a dense order that no reader can miss a part of.

    state     {"state", "previous"}                        the experiment moved
    epoch     {"cohort_id", "from", "epoch", "epochs",     epochs `from` to `epoch` (both included) of one cohort are
               "trials"}                                   stored; `epochs` is the total, `trials` how many train
    progress  {"progress", "eta_seconds", "epochs_done", "epochs_total", "trials": {counts by state}}
    done      {"state"}                                    the last event

The rows of an epoch event are read when it is delivered: those of `members(session, cohort_id, seq)`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update
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
        frontier = [found for found in session.scalars(split_off) if found not in cohorts]
        cohorts.update(frontier)
    query = select(TrialRow.id).where(TrialRow.cohort_id.in_(cohorts)).order_by(TrialRow.position)
    return list(session.scalars(query))
