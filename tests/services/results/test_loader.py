"""What is read of an experiment whose trials ended in every way, and what is asked of it. On both databases."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.db.database import Database
from services.db.tables import CurveRow, EpochRow, ExperimentRow, TrialRow
from services.results.loader import load_results, read_arms
from services.science.results import ArmResults, CurveWish, ExperimentResults, Outcome, TrialResult
from tests.support.experiments import make_experiment

BOTH = CurveWish(("val_loss", "train_loss"))
NAN = float("nan")


def stored(session: Session) -> str:
    """Two arms of three seeds, the last one of a later round: finished, diverged, running; failed, finished, failed."""
    experiment = make_experiment(session, (6,), epochs=3)
    query = select(TrialRow).where(TrialRow.experiment_id == experiment).order_by(TrialRow.position)
    trials = list(session.scalars(query))
    ends: list[tuple[str, int, str, dict[str, Any]]] = [
        ("a", 0, "succeeded", {"energy_joules": 2.0, "energy_method": "measured", "final": {"val_loss": 0.5}}),
        ("a", 4, "diverged", {"diverged": {"epoch": 1, "layer": "dense_2"}, "final": {"val_loss": None}}),
        ("b", 0, "failed", {"error": {"code": "error", "detail": "it broke"}, "epochs_done": 1}),
        ("b", 4, "succeeded", {"final": {"val_loss": 0.25}}),
        ("a", 2, "running", {"epochs_done": 2}),
        ("b", 2, "failed", {"error": {"code": "out_of_memory"}}),
    ]
    for trial, (arm, seed, state, more) in zip(trials, ends, strict=True):
        trial.arm_key, trial.label, trial.seed, trial.state = arm, f"arm {arm}", seed, state
        for name, value in more.items():
            setattr(trial, name, value)
    packed = {0: ([4.0, 2.0, 1.0, 0.5], [NAN, 3.0, 2.0, 1.0]), 1: ([4.0], [NAN]), 3: ([4.0, 3.0, 2.0, 0.25], [NAN] * 4)}
    for place, (validation, training) in packed.items():
        for metric, values in (("val_loss", validation), ("train_loss", training), ("seconds", [0.1] * len(training))):
            content = np.array(values, dtype="<f8").tobytes()
            session.add(CurveRow(trial_id=trials[place].id, metric=metric, values=content))
    for epoch, value in enumerate((4.0, 3.5, 3.0)):
        session.add(EpochRow(trial_id=trials[4].id, epoch=epoch, val_loss=value))
    return experiment


@pytest.fixture
def experiment(database: Database) -> str:
    with database.write() as session:
        stored(session)
        return stored(session)


def loaded(database: Database, experiment: str, curves: CurveWish = BOTH) -> ExperimentResults:
    with database.read() as session:
        return load_results(session, session.get_one(ExperimentRow, experiment), curves)


def test_trials_stand_in_their_arms_in_the_order_in_which_they_were_planned(
    database: Database, experiment: str
) -> None:
    study = loaded(database, experiment)
    assert [(arm.key, arm.label, arm.seeds) for arm in study.arms] == [
        ("a", "arm a", (0, 4, 2)),
        ("b", "arm b", (0, 4, 2)),
    ]
    assert (study.id, study.epochs, study.seeds, study.trials, study.diverged) == (experiment, 3, (0, 2, 4), 6, 1)
    a, b = study.arms
    assert a.states == ("succeeded", "diverged", "running")
    assert [trial.outcome for trial in a.trials] == [Outcome.FINISHED, Outcome.DIVERGED, Outcome.MISSING]
    assert (a.kept.tolist(), a.diverged, b.diverged) == ([True, False, True], 1, 0)
    assert a.diverged_at == (None, 1, None)
    assert a.trials[1].diverged_in == "dense_2"
    np.testing.assert_equal(a.joules, [2.0, NAN, NAN])
    assert [(arm.key, trial.seed, trial.error) for arm, trial in study.failures] == [
        ("b", 0, "it broke"),
        ("b", 2, "out_of_memory"),
    ]
    # All epochs of those that finished or diverged, two of the one that runs, and one that a failed trial had trained.
    assert (study.epochs_done, study.unfinished) == (3 * 3 + 2 + 1, 1)


def test_curves_reach_to_the_last_epoch_that_a_trial_has(database: Database, experiment: str) -> None:
    a, b = loaded(database, experiment).arms
    np.testing.assert_equal(a.curve("val_loss"), [[4.0, 2.0, 1.0, 0.5], [4.0, NAN, NAN, NAN], [4.0, 3.5, 3.0, NAN]])
    np.testing.assert_equal(a.curve("train_loss"), [[NAN, 3.0, 2.0, 1.0], [NAN] * 4, [NAN] * 4])
    assert set(b.curves) == {"val_loss"}, "no trial of it has a training loss"
    assert b.curve("train_loss").shape == (3, 1)
    assert np.isnan(b.curve("train_loss", 3)).all()
    assert b.curve("train_loss", 3).shape == (3, 4)


def test_only_the_curves_that_are_wished_for_are_read(database: Database, experiment: str) -> None:
    assert [arm.curves for arm in loaded(database, experiment, CurveWish()).arms] == [{}, {}]
    a, b = loaded(database, experiment, CurveWish(("val_loss",), finished=True)).arms
    np.testing.assert_equal(a.curve("val_loss"), [[4.0, 2.0, 1.0, 0.5], [NAN] * 4, [NAN] * 4])
    assert np.isfinite(b.curve("val_loss")[1]).all()
    a, b = loaded(database, experiment, CurveWish(("val_loss",), arms=frozenset({"a"}))).arms
    assert (set(a.curves), set(b.curves)) == ({"val_loss"}, set())


def test_tables_have_a_column_for_every_seed(database: Database, experiment: str) -> None:
    study = loaded(database, experiment)
    assert study.having(Outcome.FINISHED).tolist() == [[True, False, False], [False, False, True]]
    assert study.having(Outcome.DIVERGED).tolist() == [[False, False, True], [False, False, False]]
    assert study.having(Outcome.MISSING).tolist() == [[False, True, False], [True, True, False]]
    np.testing.assert_equal(study.finals("val_loss"), [[0.5, NAN, NAN], [NAN, NAN, 0.25]])
    table = study.table("val_loss", [1, 0])
    assert table.shape == (2, 3, 4)
    np.testing.assert_equal(table[:, :, -1], [[NAN, NAN, 0.25], [0.5, NAN, NAN]])


def test_equal_arms_of_two_experiments_stay_two(database: Database, experiment: str) -> None:
    with database.read() as session:
        arms = read_arms(session, TrialRow.arm_key == "a")
    assert [(arm.key, len(arm.trials)) for arm in arms] == [("a", 3), ("a", 3)]


def test_a_cell_that_nobody_planned_is_missing() -> None:
    arms = tuple(ArmResults(f"key {seed}", "", (TrialResult("trl", seed, "succeeded"),)) for seed in range(2))
    study = ExperimentResults(id="exp", name=None, epochs=1, arms=arms)
    assert study.having(Outcome.MISSING).tolist() == [[False, True], [True, False]]
    assert study.table("val_loss", [0]).shape == (1, 2, 2)
