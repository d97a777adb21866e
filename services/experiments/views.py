"""What an experiment looks like to a reader: the stored row with counts, progress and the time it still needs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.cohorts.progress import remaining
from services.db.tables import ExperimentRow, TrialRow
from services.experiments.population import no_worker
from services.science.results import ExperimentResults
from services.states import FINAL, epochs_behind


class TrialCounts(BaseModel):
    """How many trials stand in each state."""

    total: int = 0
    queued: int = 0
    running: int = 0
    paused: int = 0
    succeeded: int = 0
    diverged: int = 0
    failed: int = 0
    cancelled: int = 0


class ExperimentView(BaseModel):
    """One submitted spec, with its state and all that came of it."""

    id: str
    name: str | None
    tags: list[str]
    state: str
    desired: str = Field(description="What was asked for last: run, pause or cancel.")
    spec: dict[str, Any] = Field(description="The canonical spec: every default filled in; it can be posted again.")
    spec_digest: str
    dataset: str
    dataset_digest: str | None
    axes: list[str]
    trials: TrialCounts
    progress: float = Field(
        ge=0,
        le=1,
        description="Share of all epochs that are done. A trial that finished or diverged counts whole; one that "
        "failed or was cancelled counts with the epochs that it had trained.",
    )
    eta_seconds: float | None = Field(description="Predicted time to the end; null while nothing was measured.")
    warnings: list[str] = Field(
        description="What is worth knowing; while it is queued, also that no worker can run it."
    )
    quote: dict[str, Any] | None = Field(
        description="What was predicted at submission; once final, with `actual_seconds` from the start to the end."
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    rounds: dict[str, Any] | None = Field(
        description="With seeds in rounds: the present round, what each look found, and why it stopped."
    )
    error: dict[str, Any] | None


def views(session: Session, rows: Sequence[ExperimentRow]) -> list[ExperimentView]:
    """Add counts and progress to the rows with one query for all of them; remaining time only where something runs."""
    ids = [row.id for row in rows]
    counts, done = _trial_facts(session, ids)
    alone = {device: no_worker(session, device) for device in {row.device for row in rows if row.state == "queued"}}
    return [
        _view(
            row,
            counts[row.id],
            done[row.id],
            _remaining(session, row),
            alone[row.device] if row.state == "queued" else [],
        )
        for row in rows
    ]


def view(session: Session, row: ExperimentRow, results: ExperimentResults | None = None) -> ExperimentView:
    """The same for one experiment; the counts are those of its results where they are loaded already."""
    if results is None:
        return views(session, [row])[0]
    waits = no_worker(session, row.device) if row.state == "queued" else []
    return _view(row, results.state_counts, results.epochs_done, _remaining(session, row), waits)


def _view(
    row: ExperimentRow, counts: dict[str, int], done: int, eta: float | None, waits: Sequence[str]
) -> ExperimentView:
    share = 1.0 if row.state == "succeeded" else min(1.0, done / (row.trial_count * row.epochs))
    trials = TrialCounts(total=row.trial_count, **counts)
    return ExperimentView(
        id=row.id,
        name=row.name,
        tags=row.tags,
        state=row.state,
        desired=row.desired,
        spec=row.spec,
        spec_digest=row.spec_digest,
        dataset=row.dataset,
        dataset_digest=row.dataset_digest,
        axes=row.axes,
        trials=trials,
        progress=share,
        eta_seconds=eta,
        warnings=[*row.warnings, *waits],
        quote=_quote(row),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        rounds=row.rounds,
        error=row.error,
    )


def _quote(row: ExperimentRow) -> dict[str, Any] | None:
    """The quote, and what became of it."""
    if row.quote is None or row.started_at is None or row.finished_at is None:
        return row.quote
    return {**row.quote, "actual_seconds": (row.finished_at - row.started_at).total_seconds()}


def _remaining(session: Session, row: ExperimentRow) -> float | None:
    """Seconds to the end, at the rate measured so far; null while nothing was measured."""
    if row.state in FINAL:
        return 0.0
    return remaining(session, row.id) if row.state == "running" else None


def _trial_facts(session: Session, ids: Iterable[str]) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Trials by state, and epochs that are done, of each experiment."""
    rows = session.execute(
        select(
            TrialRow.experiment_id,
            TrialRow.state,
            func.count(),
            func.sum(TrialRow.epochs_done),
            func.max(ExperimentRow.epochs),
        )
        .join(ExperimentRow, ExperimentRow.id == TrialRow.experiment_id)
        .where(TrialRow.experiment_id.in_(ids))
        .group_by(TrialRow.experiment_id, TrialRow.state)
    )
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    done: dict[str, int] = defaultdict(int)
    for experiment_id, state, count, trained, epochs in rows:
        counts[experiment_id][state] = count
        done[experiment_id] += epochs_behind(state, count, int(trained), epochs)
    return counts, done
