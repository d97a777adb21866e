"""A backup of a study that runs: restored elsewhere it goes on, and both end with the same bits."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from services.backup.restore import restore
from services.backup.save import save
from services.db.tables import AttemptRow, CheckpointRow, ExperimentRow, TrialRow
from services.experiments.store import create
from services.science.spec import ExperimentSpec
from tests.support.workers import ENDLESS, PATIENCE, Workshop, eventually, expected, workshop_in

SPEC = {"dataset": "digits", "activation": ["relu", "tanh"], "initializer": "he_uniform", "epochs": 30, "seeds": 2}


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, workshop: Workshop, tmp_path: Path) -> Iterator[Workshop]:
    """Another home, with an empty database of the same kind."""
    (tmp_path / "elsewhere").mkdir()
    urls = {}
    if not workshop.settings.embedded:
        urls = {"DATABASE_URL": request.getfixturevalue("postgres_url"), "BROKER_URL": workshop.settings.broker}
    made = workshop_in(tmp_path / "elsewhere", **urls)
    try:
        yield made
        made.close()
    finally:
        made.database.dispose()


def command(workshop: Workshop, *arguments: str) -> str:
    """What the command says; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "firstlight", *arguments],
        env=workshop.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_study_that_runs_is_backed_up_and_ends_elsewhere_with_the_same_bits(
    workshop: Workshop, elsewhere: Workshop, tmp_path: Path
) -> None:
    mark, file = tmp_path / "mark", tmp_path / "b.zip"
    fault = f"child.before_epoch:epoch=20:once={mark}:stop"  # in the middle of its training for as long as we like
    eager = {"FIRSTLIGHT_ENGINE": "eager"}  # nothing is compiled for this
    worker = workshop.worker({**eager, "FIRSTLIGHT_FAULT": fault, "FIRSTLIGHT_CHECKPOINT_SECONDS": "0"}, real=True)
    with workshop.database.write() as session:
        experiment = create(session, ExperimentSpec.model_validate(SPEC), workshop.settings).id
    eventually(mark.exists, f"the child to stop itself\n{workshop.logs()}")
    workshop.wait_epoch(experiment, 0)
    assert re.search(", [12] checkpoints,", command(workshop, "backup", str(file)))
    for child in workshop.children():
        os.kill(child, signal.SIGCONT)
    assert workshop.wait(experiment) == "succeeded"
    assert workshop.outcomes(experiment) == ["done"]
    worker.kill()  # one that is restored sees that whoever held its cohorts is dead, and need not wait for the lease
    worker.wait()

    assert "restored" in command(elsewhere, "restore", str(file))
    assert elsewhere.state(experiment) == "running"
    elsewhere.worker(eager, real=True)
    assert elsewhere.wait(experiment) == "succeeded"
    assert elsewhere.outcomes(experiment) == ["lost", "done"]
    with elsewhere.database.read() as session:
        assert max(session.scalars(select(AttemptRow.from_epoch))) >= 0, "it began again"
    there, here = elsewhere.curves(experiment), workshop.curves(experiment)
    assert {len(curve) for curve in here.values()} == {31}
    assert here.keys() == there.keys()
    assert all(np.array_equal(here[seed], there[seed]) for seed in here)


def test_many_backups_of_what_moves_are_each_one_moment(workshop: Workshop, elsewhere: Workshop) -> None:
    """Rows, events and checkpoints of a backup fit each other, whatever was stored or tidied away meanwhile."""
    experiment = workshop.submit((2, 1), epochs=ENDLESS, epoch_seconds=0.005)
    workshop.worker(FIRSTLIGHT_SLOTS="2")
    workshop.wait_epoch(experiment, 10)
    left_out: list[tuple[str, ...]] = []
    for number in range(5):
        saved = save(workshop.settings, workshop.folder / f"{number}.zip")
        left_out.append(saved.manifest.left_out)
        workshop.wait_epoch(experiment, 10 + 10 * number)
    workshop.call_off(experiment)
    for number in range(5):
        elsewhere.database.dispose()
        restore(elsewhere.settings, workshop.folder / f"{number}.zip", replace=True)
        with elsewhere.database.read() as session:
            row = session.get_one(ExperimentRow, experiment)
            done = {
                trial.seed: trial.epochs_done
                for trial in session.scalars(select(TrialRow).where(TrialRow.experiment_id == experiment))
            }
            named = list(session.scalars(select(CheckpointRow.path)))
        assert [event.seq for event in elsewhere.events(experiment)] == list(range(1, row.event_seq + 1))
        assert {seed: len(curve) - 1 for seed, curve in elsewhere.curves(experiment).items()} == done
        for seed, curve in elsewhere.curves(experiment).items():
            assert curve.tolist() == expected(seed, done[seed])
        assert named
        # With twenty checkpoints a second one may be tidied away between the moment and the look for its file.
        missing = [path for path in named if not (elsewhere.settings.home / "artifacts" / path).exists()]
        assert set(missing) <= set(left_out[number])


def test_the_command_says_in_a_sentence_what_is_wrong(tmp_path: Path, migrated_sqlite: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copyfile(migrated_sqlite, home / "firstlight.db")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTLIGHT_")}
    file = tmp_path / "b.zip"

    def told(*arguments: str) -> tuple[int, str, str]:
        line = [sys.executable, "-m", "firstlight", *arguments, "--home", str(home)]
        done = subprocess.run(line, env=clean, capture_output=True, text=True, timeout=PATIENCE, check=False)
        return done.returncode, done.stdout, done.stderr

    code, out, _ = told("backup", str(file))
    assert (code, out.count("\n")) == (0, 1)
    assert out.startswith(f"{file}: sqlite at schema ")
    code, out, err = told("backup", str(file))
    assert (code, out, err) == (1, "", f"{file} is there already: give another name, nothing is written over\n")
    code, out, err = told("restore", str(file))
    assert (code, out) == (1, "")
    assert err == f"something is there already: {home}/firstlight.db. --replace replaces it; nothing was changed\n"
    code, out, err = told("backup", str(tmp_path / "none" / "b.zip"))
    assert (code, out) == (1, "")
    assert "No such file or directory" in err
    assert "Traceback" not in err
