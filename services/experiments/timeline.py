"""The events of an experiment as a reader gets them: in order, epoch events with their rows."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.cohorts.events import members
from services.cohorts.origin import ORIGIN_FIELDS
from services.db.tables import EventRow, ExperimentRow, TrialRow
from services.states import FINAL
from services.trials.series import epoch_rows


@dataclass(frozen=True)
class Entry:
    """One event, ready to be sent."""

    seq: int
    type: str
    data: dict[str, Any]


@dataclass(frozen=True)
class News:
    """What came after a sequence number.

    Attributes:
        entries: in order; a `reset` stands where older ones were removed, and there are no other gaps.
        has_more: more are there already.
        is_over: the experiment is final and these are its last events, or it is gone.
    """

    entries: list[Entry]
    has_more: bool
    is_over: bool


def news(session: Session, experiment_id: str, after: int, limit: int) -> News:
    """Read at most `limit` events after `after`, in one snapshot."""
    experiment = session.get(ExperimentRow, experiment_id)
    if experiment is None:
        return News([], has_more=False, is_over=True)
    rows = session.scalars(
        select(EventRow)
        .where(EventRow.experiment_id == experiment_id, EventRow.seq > after)
        .order_by(EventRow.seq)
        .limit(limit)
    ).all()
    last = rows[-1].seq if rows else after
    gone = _gone(rows[0].seq, after) if rows else []
    has_more = last < experiment.event_seq and bool(rows)
    entries = [Entry(row.seq, row.type, _data(session, row)) for row in rows]
    return News(gone + entries, has_more, is_over=experiment.state in FINAL and last >= experiment.event_seq)


def _gone(first: int, after: int) -> list[Entry]:
    """Tells a reader that asked for events which were removed, as an event with the number of the last of them.

    Numbers are dense and events become visible in order, so a gap is always what was removed.
    """
    removed = first - 1 - after
    return [Entry(first - 1, "reset", {"after": after, "removed": removed})] if removed > 0 else []


def _data(session: Session, event: EventRow) -> dict[str, Any]:
    """The payload; an epoch event carries references, and gets the rows themselves here.

    Which request submitted the experiment is for its workers, not for its readers.
    """
    if event.type != "epoch":
        return {name: value for name, value in event.payload.items() if name not in ORIGIN_FIELDS}
    ids = members(session, event.payload["cohort_id"], event.seq)
    query = select(TrialRow.id, TrialRow.label, TrialRow.seed).where(TrialRow.id.in_(ids))
    named = {trial.id: {"label": trial.label, "seed": trial.seed} for trial in session.execute(query)}
    rows = epoch_rows(session, ids, int(event.payload["from"]), int(event.payload["epoch"]))
    return {**event.payload, "rows": [{**row, **named[row["trial_id"]]} for row in rows]}
