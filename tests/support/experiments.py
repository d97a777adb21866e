"""Experiments made directly in the database, and the messages a child would send for them."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.child_protocol import CheckpointReport, EpochReport, Epochs
from services.cohorts import events
from services.cohorts.claim import claim
from services.cohorts.commit import commit_epochs, started
from services.cohorts.endings import finish
from services.cohorts.failure import Failure, fail
from services.db.base import new_id
from services.db.database import Database
from services.db.tables import CohortRow, ExperimentRow, TrialRow


def make_experiment(
    session: Session, sizes: Sequence[int] = (2,), epochs: int = 3, spec: dict[str, Any] | None = None
) -> str:
    """Insert a queued experiment with one cohort of each size; returns its id."""
    experiment = ExperimentRow(
        id=new_id("exp"),
        spec=spec or {"made": "for a test"},
        spec_version=1,
        spec_digest="0" * 64,
        dataset="digits",
        epochs=epochs,
        trial_count=sum(sizes),
        axes=["activation"],
    )
    session.add(experiment)
    session.flush()
    place = 0
    for position, size in enumerate(sizes):
        cohort = CohortRow(id=new_id("coh"), experiment_id=experiment.id, position=position, size=size, epochs=epochs)
        session.add(cohort)
        session.flush()
        for slot in range(size):
            session.add(
                TrialRow(
                    id=new_id("trl"),
                    experiment_id=experiment.id,
                    cohort_id=cohort.id,
                    slot=slot,
                    position=place,
                    arm={"activation": {"kind": "relu"}},
                    arm_key=f"{place:016d}",
                    label=f"trial {place}",
                    seed=place,
                )
            )
            place += 1
    session.flush()
    events.append(session, experiment.id, [("state", {"state": "queued", "previous": None})])
    return experiment.id


def loss(seed: int, epoch: int) -> float:
    """A made-up but repeatable loss of one trial."""
    return 1.0 / (1 + epoch) + 0.01 * math.sin(seed + epoch)


def message(
    first: int,
    to: int,
    seeds: Sequence[int],
    *,
    diverged: dict[int, int] | None = None,
    checkpoint: CheckpointReport | None = None,
    seconds: float = 0.1,
    energy: float | None = None,
) -> Epochs:
    """Epochs `first` to `to` of trials with these seeds, by slot; `diverged` maps a slot to its epoch of divergence."""
    gone = diverged or {}
    reports: list[EpochReport] = []
    for epoch in range(first, to + 1):
        finite = [epoch < gone.get(slot, to + 1) for slot in range(len(seeds))]
        values = [loss(seed, epoch) if ok else None for seed, ok in zip(seeds, finite, strict=True)]
        reports.append(
            {
                "epoch": epoch,
                "seconds": seconds,
                "metrics": {"train_loss": [None] * len(seeds) if epoch == 0 else values, "val_loss": values},
                "extra": {"val_loss_batch": values},
                "diverged": [{"slot": slot, "layer": "dense_1"} for slot, at in gone.items() if at == epoch],
            }
        )
    return {
        "type": "epochs",
        "from": first,
        "to": to,
        "epochs": reports,
        "checkpoint": checkpoint,
        "energy": None if energy is None else {"joules": energy, "method": "measured"},
    }


def seeds_of(session: Session, cohort_id: str) -> list[int]:
    """The seeds of a cohort's trials by slot."""
    return list(session.scalars(select(TrialRow.seed).where(TrialRow.cohort_id == cohort_id).order_by(TrialRow.slot)))


def train_next(database: Database, epochs: int, *, diverged: dict[int, int] | None = None, fails: str = "") -> None:
    """Claim the next cohort and train it up to this epoch; then it is done, fails, or is left alone."""
    with database.write() as session:
        taken = claim(session, "w1", 60.0)
    assert taken is not None
    with database.write() as session:
        started(session, taken.cohort_id, taken.attempt, "cpu", "d" * 64)
        report = message(0, epochs, seeds_of(session, taken.cohort_id), diverged=diverged)
        commit_epochs(session, taken.cohort_id, taken.attempt, report, 60.0)
    with database.write() as session:
        if fails:
            fail(session, taken.cohort_id, taken.attempt, Failure("dataset_invalid", fails))
        elif epochs == taken.epochs:
            finish(session, taken.cohort_id, taken.attempt)


@pytest.fixture
def experiment(database: Database) -> str:
    """One queued experiment: two cohorts of two trials, three epochs."""
    with database.write() as session:
        return make_experiment(session, (2, 2))
