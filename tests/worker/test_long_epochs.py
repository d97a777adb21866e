"""The real child in an epoch that it does not finish: it goes on from the batch, not from the epoch's start."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from services.cohorts.claim import claim
from services.db.database import Database
from services.db.tables import AttemptRow, CheckpointRow
from services.experiments.store import create
from services.science.spec import ExperimentSpec
from services.training.set_down import BATCHES
from tests.support.supervising import settings_of, supervisor
from worker.child import COMMAND, Child
from worker.environment import child_environment

SPEC = {
    "dataset": "digits",
    "activation": "tanh",
    "initializer": "he_normal",
    "model": {"kind": "mlp", "hidden": [4]},
    "batch_size": 1,
    "epochs": 500,
    "seeds": 1,
    "diagnostics": None,
}


def newest(database: Database) -> tuple[int, str]:
    """Last finished epoch and path of the checkpoint from furthest on."""
    with database.read() as session:
        query = select(CheckpointRow.epoch, CheckpointRow.path).order_by(CheckpointRow.epoch.desc()).limit(1)
        return next(((epoch, path) for epoch, path in session.execute(query)), (-1, ""))


def inside(database: Database) -> bool:
    """Whether it was written in the middle of an epoch."""
    return "-batches-" in newest(database)[1]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_drain_and_a_kill_in_the_middle_of_an_epoch_cost_the_batches_since_the_last_file(
    database: Database, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(database, tmp_path, engine="eager", checkpoint_seconds=0.0, data_dir=data_dir, device="cpu")
    with database.write() as session:
        create(session, ExperimentSpec.model_validate(SPEC), settings)

    def attempt(watch: Callable[[Child], bool] = lambda _child: False) -> str:
        """Run an attempt; `watch` is asked whether the worker drains."""
        with database.write() as session:
            taken = claim(session, "w", 1000.0)
        assert taken is not None
        child = Child(COMMAND, child_environment(os.environ, settings, "w"))
        return supervisor(database, settings, taken, child, draining=lambda: watch(child)).run()

    drains = 0
    while not inside(database) or not drains:  # one in a thousand meets the end of an epoch
        drains += 1
        assert attempt(lambda _child: inside(database)) == "queued"
    drained = newest(database)

    def kill(child: Child) -> bool:
        if inside(database) and newest(database) != drained:
            child.kill()
        return False

    assert attempt(kill) == "queued"
    epoch, path = newest(database)
    file = settings.home / "artifacts" / path
    with np.load(file, allow_pickle=False) as archive:
        batches = int(archive[BATCHES].min())
    assert 0 < batches <= 1437
    assert file.name == f"epoch-{epoch}-batches-{batches}.npz"
    assert not (settings.home / "artifacts" / drained[1]).exists() or drained[0] < epoch, "replaced files are removed"
    # The last attempt tells where it begins by failing there and nowhere else.
    fault = f"child.before_batches:epoch={epoch + 1}:batch={batches}:raise"
    monkeypatch.setenv("FIRSTLIGHT_TESTING", "1")
    monkeypatch.setenv("FIRSTLIGHT_FAULT", fault)
    assert attempt() in ("queued", "failed")
    with database.read() as session:
        rows = session.scalars(select(AttemptRow).order_by(AttemptRow.attempt)).all()
    assert [row.outcome for row in rows] == ["drained"] * drains + ["failed", "failed"]
    assert [row.from_epoch for row in rows[-2:]] == [drained[0], epoch]
    assert [row.detail and row.detail["detail"].partition(":")[0].partition(";")[0] for row in rows[-2:]] == [
        "the process was ended by signal 9 (SIGKILL)",
        "InjectedFaultError",
    ]
