"""Workers with the real child: whatever is killed and whenever, the numbers are those of an undisturbed run."""

import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from services.db.tables import ExperimentRow, TrialRow
from services.experiments.service import create
from services.science.spec import ExperimentSpec
from services.trials.rows import read_rows
from tests.support.workers import Workshop

SPEC = {
    "dataset": "digits",
    "activation": ["relu", "tanh"],
    "initializer": ["he_uniform", "glorot_uniform"],
    "epochs": 30,
    "seeds": 2,
}


def submit(workshop: Workshop) -> str:
    with workshop.database.write() as session:
        return create(session, ExperimentSpec.model_validate(SPEC), workshop.settings).id


def curves(workshop: Workshop, experiment: str) -> NDArray[np.float64]:
    """Every metric but the time, `[trials, metrics, epochs]`, in grid order."""
    with workshop.database.read() as session:
        query = select(TrialRow.id).where(TrialRow.experiment_id == experiment).order_by(TrialRow.position)
        found = read_rows(session, list(session.scalars(query)))
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return np.array([[columns.metrics[name] for name in names] for columns in found.values()])


@pytest.mark.parametrize("what", ["worker", "child", "drain"])
def test_the_numbers_are_those_of_an_undisturbed_run(workshop: Workshop, tmp_path: Path, what: str) -> None:
    fault = f"child.after_checkpoint:once={tmp_path / 'mark'}:kill" if what == "child" else ""
    first = workshop.worker(real=True, FIRSTLIGHT_FAULT=fault)
    disturbed = submit(workshop)
    if what != "child":
        workshop.wait_epoch(disturbed, 2)
        assert workshop.cohort(disturbed).last_epoch < 30, "the study was over before it could be disturbed"
        first.send_signal(signal.SIGKILL if what == "worker" else signal.SIGTERM)
        assert first.wait(30) == (-9 if what == "worker" else 0)
        workshop.worker(real=True)
    assert workshop.wait(disturbed) == "succeeded"
    assert workshop.outcomes(disturbed) == [{"worker": "lost", "child": "failed", "drain": "drained"}[what], "done"]
    undisturbed = submit(workshop)
    assert workshop.wait(undisturbed) == "succeeded"
    one, other = curves(workshop, disturbed), curves(workshop, undisturbed)
    assert one.shape == (8, 4, 31)
    assert np.array_equal(one, other, equal_nan=True)
    with workshop.database.read() as session:
        digests = {row.dataset_digest for row in session.scalars(select(ExperimentRow))}
    assert len(digests) == 1
    assert None not in digests
