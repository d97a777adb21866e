"""Store what a child reports: one transaction for the epoch rows of every trial, the checkpoint and the events."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from services.child_protocol import CheckpointReport, DiagnosticReport, EpochReport, Epochs, Saved
from services.cohorts import checkpoints, events
from services.cohorts.energy import add_energy
from services.cohorts.fence import hold
from services.cohorts.progress import progress
from services.db.base import now
from services.db.clock import CLOCK
from services.db.tables import AttemptRow, CohortRow, DiagnosticRow, EpochRow, ExperimentRow, TrialRow

COLUMNS = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_mae", "val_rmse", "val_r2")
"""The metrics that have a column; any other metric of a message goes beside them into `extra`."""
RATE_MEMORY = 0.8
"""How much of the old rate a new measurement leaves: about the last five messages count."""


class Outcome(Enum):
    """What became of a message."""

    COMMITTED = "committed"
    ALREADY = "already"
    """It was stored before and its acknowledgement got lost: acknowledge again."""
    FENCED = "fenced"
    """This attempt does not run the cohort any more: kill the child and write nothing."""


@dataclass(frozen=True)
class Commit:
    """The outcome, what is asked of the cohort now, and files that no row names any more."""

    outcome: Outcome
    desired: str = "run"
    stale: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Member:
    id: str
    diverged: bool


class OutOfOrderError(ValueError):
    """A message that does not begin right after the last stored epoch: a defect of the child."""


def started(
    session: Session, cohort_id: str, attempt: int, device: str, dataset_digest: str, from_epoch: int = -1
) -> Outcome | None:
    """Note where the cohort trains, on which data, and from the state after which epoch (-1: from the beginning).

    Returns:
        COMMITTED, FENCED, or None when the data are not those that the experiment's earlier attempts saw.
    """
    cohort = hold(session, cohort_id, attempt, {"device": device})
    if cohort is None:
        return Outcome.FENCED
    session.execute(update(TrialRow).where(TrialRow.cohort_id == cohort_id).values(device=device))
    this = (AttemptRow.cohort_id == cohort_id, AttemptRow.attempt == attempt)
    session.execute(update(AttemptRow).where(*this).values(from_epoch=from_epoch))
    column = ExperimentRow.dataset_digest
    seen = session.execute(
        update(ExperimentRow)
        .where(ExperimentRow.id == cohort.experiment_id)
        .values(dataset_digest=func.coalesce(column, dataset_digest))
        .returning(column)
        .execution_options(synchronize_session=False)
    ).scalar_one()
    return Outcome.COMMITTED if seen == dataset_digest else None


def commit_epochs(session: Session, cohort_id: str, attempt: int, message: Epochs, ttl: float) -> Commit:
    """Store the message's epochs if they follow the last stored one and `attempt` still holds the lease.

    Raises:
        OutOfOrderError: the message leaves a gap or is not dense in itself.
    """
    first, last, reports = message["from"], message["to"], message["epochs"]
    if [report["epoch"] for report in reports] != list(range(first, last + 1)):
        raise OutOfOrderError(f"epochs {first} to {last} are not all there, or not in order")
    seconds = math.fsum(report["seconds"] for report in reports)
    cohort = hold(
        session,
        cohort_id,
        attempt,
        {
            "last_epoch": last,
            "lease_expires_at": CLOCK + ttl,
            "duration_seconds": CohortRow.duration_seconds + seconds,
        },
        CohortRow.last_epoch == first - 1,
    )
    if cohort is None:
        return _refused(session, cohort_id, attempt, message)
    cohort.seconds_per_epoch = _rate(cohort.seconds_per_epoch, message)
    add_energy(cohort, message.get("energy"))
    trials = _members(session, cohort_id)
    _insert_rows(session, trials, reports)
    _insert_diagnostics(session, trials, message.get("diagnostics", []))
    _note_divergence(session, trials, reports)
    session.execute(
        update(TrialRow)
        .where(TrialRow.cohort_id == cohort_id, TrialRow.state == "running")
        .values(epochs_done=last)
        .execution_options(synchronize_session=False)
    )
    file = message.get("checkpoint")
    stale = _save(session, cohort, attempt, file) if file is not None else ()
    session.flush()
    stretch = {"from": first, "epoch": last, "epochs": cohort.epochs, "trials": cohort.size}
    events.append(
        session,
        cohort.experiment_id,
        [("epoch", {"cohort_id": cohort_id, **stretch}), ("progress", progress(session, cohort.experiment_id))],
    )
    return Commit(Outcome.COMMITTED, cohort.desired, stale)


def commit_checkpoint(session: Session, cohort_id: str, attempt: int, message: Saved, ttl: float) -> Commit:
    """Store a checkpoint that came without epochs if `attempt` still holds the lease.

    Raises:
        OutOfOrderError: it follows an epoch that is not stored.
    """
    cohort = hold(session, cohort_id, attempt, {"lease_expires_at": CLOCK + ttl})
    if cohort is None:
        return Commit(Outcome.FENCED)
    file = message["file"]
    if file["epoch"] > cohort.last_epoch:
        raise OutOfOrderError(f"a checkpoint of epoch {file['epoch']} came after epoch {cohort.last_epoch}")
    if checkpoints.is_stored(session, cohort_id, file):
        return Commit(Outcome.ALREADY, cohort.desired)
    add_energy(cohort, message.get("energy"))
    stale = _keep(session, cohort, attempt, file)
    session.flush()
    return Commit(Outcome.COMMITTED, cohort.desired, stale)


def _refused(session: Session, cohort_id: str, attempt: int, message: Epochs) -> Commit:
    """Tell a lost acknowledgement from a lost lease."""
    holder = session.execute(
        select(CohortRow.last_epoch, CohortRow.desired).where(
            CohortRow.id == cohort_id, CohortRow.attempt == attempt, CohortRow.state == "running"
        )
    ).one_or_none()
    if holder is None:
        return Commit(Outcome.FENCED)
    last_epoch, desired = holder
    if message["to"] <= last_epoch:
        return Commit(Outcome.ALREADY, desired)
    span = f"epochs {message['from']} to {message['to']}"
    raise OutOfOrderError(f"{span} do not follow the last stored epoch, {last_epoch}")


def _rate(old: float | None, message: Epochs) -> float | None:
    """The moving average of seconds per epoch; epoch 0 trains nothing and does not count."""
    trained = [report["seconds"] for report in message["epochs"] if report["epoch"] > 0]
    if not trained:
        return old
    new = math.fsum(trained) / len(trained)
    return new if old is None else RATE_MEMORY * old + (1 - RATE_MEMORY) * new


def _members(session: Session, cohort_id: str) -> dict[int, _Member]:
    rows = session.execute(select(TrialRow.slot, TrialRow.id, TrialRow.state).where(TrialRow.cohort_id == cohort_id))
    return {slot: _Member(trial_id, state == "diverged") for slot, trial_id, state in rows}


def _insert_rows(session: Session, trials: Mapping[int, _Member], reports: list[EpochReport]) -> None:
    """One row for each trial and epoch; a diverged trial has its last row at the epoch in which it diverged."""
    silent = {slot for slot, trial in trials.items() if trial.diverged}
    rows: list[dict[str, Any]] = []
    for report in reports:
        metrics = report["metrics"]
        columns = {name: metrics[name] for name in COLUMNS if name in metrics}
        others = {name: values for name, values in metrics.items() if name not in columns}
        others |= report.get("extra") or {}
        for slot, trial in trials.items():
            if slot not in silent:
                row: dict[str, Any] = dict.fromkeys(COLUMNS)
                row.update((name, values[slot]) for name, values in columns.items())
                extra = {name: values[slot] for name, values in others.items()} or None
                rows.append(
                    {
                        "trial_id": trial.id,
                        "epoch": report["epoch"],
                        **row,
                        "seconds": report["seconds"],
                        "extra": extra,
                    }
                )
        silent.update(item["slot"] for item in report.get("diverged", []))
    if rows:
        session.execute(insert(EpochRow.__table__), rows)  # pyright: ignore[reportArgumentType]


def _insert_diagnostics(session: Session, trials: Mapping[int, _Member], reports: list[DiagnosticReport]) -> None:
    rows = [
        {
            "trial_id": trials[item["slot"]].id,
            "epoch": item["epoch"],
            "layer": item["layer"],
            "layer_index": item["layer_index"],
            "values": item["values"],
        }
        for item in reports
        if not trials[item["slot"]].diverged
    ]
    if rows:
        session.execute(insert(DiagnosticRow.__table__), rows)  # pyright: ignore[reportArgumentType]


def _note_divergence(session: Session, trials: Mapping[int, _Member], reports: list[EpochReport]) -> None:
    for report in reports:
        for item in report.get("diverged", []):
            # A second attempt computes the same divergence again: the first note stands.
            session.execute(
                update(TrialRow)
                .where(TrialRow.id == trials[item["slot"]].id, TrialRow.state == "running")
                .values(
                    state="diverged",
                    diverged={"epoch": report["epoch"], "layer": item["layer"]},
                    epochs_done=report["epoch"],
                    finished_at=now(),
                )
                .execution_options(synchronize_session=False)
            )


def _save(session: Session, cohort: CohortRow, attempt: int, file: CheckpointReport) -> tuple[str, ...]:
    if file["epoch"] != cohort.last_epoch:
        raise OutOfOrderError(f"a checkpoint of epoch {file['epoch']} came with epoch {cohort.last_epoch}")
    return _keep(session, cohort, attempt, file)


def _keep(session: Session, cohort: CohortRow, attempt: int, file: CheckpointReport) -> tuple[str, ...]:
    cohort.losses = cohort.failures = 0  # whatever ended earlier attempts, this cohort gets on
    return checkpoints.add(session, cohort.id, attempt, file)
