"""Create, read, list, clone and delete experiments: functions over a session; whoever opened it commits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from services.cohorts import events
from services.cohorts.origin import Origin
from services.cohorts.turns import latest_turn
from services.db.base import new_id
from services.db.isolation import workspace_of
from services.db.newest_first import Place, newest_first
from services.db.tables import ExperimentRow
from services.errors import ConflictError, NotFoundError
from services.experiments.admission import admit
from services.experiments.filter import parse_filter
from services.experiments.plan import Prepared, lanes
from services.experiments.tags import has_tag
from services.quotes.machine import present
from services.rounds.advance import first_round
from services.rounds.grid import store_grid
from services.science.spec import SPEC_VERSION, ExperimentSpec
from services.settings import Settings
from services.states import FINAL

ID = re.compile(r"exp_[0-9a-f]{32}")


@dataclass(frozen=True)
class Listing:
    """What a list of experiments is narrowed by; the newest come first."""

    state: str | None = None
    dataset: str | None = None
    tag: str | None = None
    created_after: datetime | None = None
    filter: str | None = None


def create(session: Session, spec: ExperimentSpec, settings: Settings, origin: Origin | None = None) -> ExperimentRow:
    """Store an experiment with its whole grid, queued; `origin` is the request that asks for it.

    Raises:
        GridTooLargeError: more trials or memory than this service accepts.
        WorkspaceFullError, QueueFullError: it has as much unfinished work as it takes.
    """
    prepared = Prepared(spec, settings, lanes(session, settings, spec.device), present(session))
    seconds = prepared.seconds(session)
    spec, grid = prepared.spec, prepared.grid
    admit(session, settings, len(grid.trials))
    experiment = ExperimentRow(
        id=new_id("exp"),
        workspace_id=workspace_of(session),
        name=spec.name,
        tags=list(spec.tags),
        spec=spec.canonical(),
        spec_version=SPEC_VERSION,
        spec_digest=spec.digest(),
        dataset=spec.dataset.name,
        epochs=spec.epochs,
        trial_count=len(grid.trials),
        axes=list(grid.axes),
        warnings=prepared.warnings,
        rounds=first_round(spec.rounds),
        device=spec.device,
        turn=latest_turn(session),
        quote={
            "seconds": seconds.model_dump(),
            "memory_bytes": prepared.memory_bytes,
            "cohort_seconds": [item.seconds for item in prepared.loads],
            "cohort_work": [item.work for item in prepared.loads],
            "images": prepared.loads[0].images,
            "machine": prepared.machine.digest,
        },
    )
    session.add(experiment)
    session.flush()
    store_grid(session, experiment, grid, prepared.cohorts)
    origin_fields = {} if origin is None else origin.payload()
    events.append(session, experiment.id, [("state", {"state": "queued", "previous": None, **origin_fields})])
    return experiment


def get(session: Session, experiment_id: str) -> ExperimentRow:
    """Find an experiment.

    Raises:
        NotFoundError: no such experiment.
    """
    row = find(session, experiment_id)
    if row is None:
        raise NotFoundError(f"there is no experiment {experiment_id[:60]!r}")
    return row


def find(session: Session, experiment_id: str) -> ExperimentRow | None:
    """The experiment, or None when there is no such one."""
    return session.get(ExperimentRow, experiment_id) if ID.fullmatch(experiment_id) else None


def page(
    session: Session, listing: Listing, limit: int, after: Place | None = None
) -> tuple[list[ExperimentRow], Place | None]:
    """One page of experiments, newest first.

    Returns:
        The rows, and the key of the last one when more follow.
    """
    return newest_first(session, select(ExperimentRow).where(*_clauses(listing)), ExperimentRow, limit, after)


def clone_spec(row: ExperimentRow, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The stored spec with some of its fields replaced; null takes a field out."""
    # Other seeds replace the rounds too: a plain list of them means just those.
    fields = {name: value for name, value in row.spec.items() if name != "rounds" or "seeds" not in overrides}
    merged = {**fields, **overrides}
    return {name: value for name, value in merged.items() if value is not None}


def remove(session: Session, experiment_id: str) -> None:
    """Delete a final experiment with everything that belongs to it.

    Raises:
        NotFoundError: no such experiment.
        ConflictError: it is not final yet.
    """
    row = get(session, experiment_id)
    if row.state not in FINAL:
        raise ConflictError(f"the experiment is {row.state}; only a final one can be deleted, so cancel it first")
    session.execute(delete(ExperimentRow).where(ExperimentRow.id == experiment_id))


def _clauses(listing: Listing) -> list[ColumnElement[bool]]:
    clauses: list[ColumnElement[bool]] = []
    if listing.state is not None:
        clauses.append(ExperimentRow.state == listing.state)
    if listing.dataset is not None:
        clauses.append(ExperimentRow.dataset == listing.dataset)
    if listing.tag is not None:
        clauses.append(has_tag(listing.tag))
    if listing.created_after is not None:
        clauses.append(ExperimentRow.created_at > listing.created_after)
    if listing.filter is not None:
        clauses.append(parse_filter(listing.filter))
    return clauses
