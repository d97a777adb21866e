"""Workers with the real child: whatever is killed and whenever, the numbers are those of an undisturbed run."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import select

from services.db.tables import AttemptRow, ExperimentRow, TrialRow
from services.experiments.store import create
from services.science.spec import ExperimentSpec
from services.trials.rows import read_rows
from tests.faults.invariants import breaches
from tests.support.workers import PATIENCE, Workshop, eventually

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
        rows = read_rows(session, list(session.scalars(query)))
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return np.array([[columns.metrics[name] for name in names] for columns in rows.values()])


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, NDArray[np.float64]]:
    """The curves of the first undisturbed run, for all tests of this module: they must not depend on the stack."""
    return {}


@pytest.mark.parametrize(
    ("what", "workshop"),
    [("worker", "embedded"), ("child", "servers"), ("drain", "servers"), ("split", "embedded")],
    indirect=["workshop"],
)
def test_the_numbers_are_those_of_an_undisturbed_run(
    workshop: Workshop, tmp_path: Path, what: str, undisturbed: dict[str, NDArray[np.float64]]
) -> None:
    mark = tmp_path / "mark"
    # The child kills or stops itself once, in the middle: no study is too fast to be disturbed.
    faults = {
        "child": f"child.after_checkpoint:once={mark}:kill",
        "split": f"child.before_epoch:epoch=20:once={mark}:oom",  # too large for the memory: tried again in halves
    }
    fault = faults.get(what, f"child.before_epoch:epoch=20:once={mark}:stop")
    first = workshop.worker(real=True, FIRSTLIGHT_FAULT=fault, FIRSTLIGHT_CHECKPOINT_SECONDS="0")
    disturbed = submit(workshop)
    if what not in faults:
        eventually(mark.exists, f"the child to stop itself\n{workshop.logs()}")
        # Only the first message is sure to be stored: the next waits for its acknowledgement, the child does not.
        workshop.wait_epoch(disturbed, 0)
        if what == "worker":
            first.kill()
            first.wait()
        else:
            first.send_signal(signal.SIGTERM)
            eventually(lambda: "child_asked_to_stop" in workshop.logs(), "the child to be asked")
            for child in workshop.children():
                os.kill(child, signal.SIGCONT)
            assert first.wait(PATIENCE) == 0
        workshop.worker(real=True)
    assert workshop.wait(disturbed) == "succeeded"
    first_end = {"worker": "lost", "child": "failed", "drain": "drained", "split": "failed"}[what]
    assert workshop.outcomes(disturbed) == [first_end, "done"] + ["done"] * (what == "split")
    if what == "split":
        with workshop.database.read() as session:
            assert min(session.scalars(select(AttemptRow.from_epoch).where(AttemptRow.outcome == "done"))) >= 0
    if not undisturbed:
        again = submit(workshop)
        assert workshop.wait(again) == "succeeded"
        assert workshop.outcomes(again) == ["done"]
        undisturbed["curves"] = curves(workshop, again)
    numbers = curves(workshop, disturbed)
    assert numbers.shape == (8, 4, 31)
    assert np.array_equal(numbers, undisturbed["curves"], equal_nan=True)
    with workshop.database.read() as session:
        digests = set(session.scalars(select(ExperimentRow.dataset_digest)))
    assert len(digests) == 1
    assert None not in digests
    assert breaches(workshop.database, workshop.settings.home / "artifacts", over=[disturbed]) == []
