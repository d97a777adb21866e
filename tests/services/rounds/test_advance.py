"""Seeds in rounds, from the submission to the stop, with made-up results. On both databases."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import func, select

from services.child_protocol import Divergence, EpochReport, Epochs
from services.cohorts.claim import Claim, claim
from services.cohorts.commit import commit_epochs
from services.cohorts.endings import finish
from services.cohorts.requests import request_cancel, request_pause, resume
from services.comparisons.comparison import Question, comparison
from services.db.database import Database
from services.db.tables import CohortRow, EventRow, ExperimentRow, TrialRow
from services.experiments import store
from services.experiments.views import view
from services.science.spec import ExperimentSpec
from services.settings import Settings

Value = Callable[[str, int], float | None]
"""The final validation loss of an activation and a seed; None diverges."""


def submit(database: Database, home: Path, seeds: Any, activation: list[str] | None = None, **settings: Any) -> str:
    spec = ExperimentSpec.model_validate(
        {
            "dataset": "digits",
            "activation": activation or ["relu", "tanh"],
            "initializer": "he_uniform",
            "epochs": 1,
            "seeds": seeds,
        }
    )
    with database.write() as session:
        return store.create(session, spec, Settings(home=home, **settings)).id


def train(database: Database, value: Value, most: int = 100) -> int:
    """Claim and finish cohorts until none is left, or `most` are done; returns how many."""
    for done in range(most):
        with database.write() as session:
            taken = claim(session, "w1", 30.0)
        if taken is None:
            return done
        run(database, taken, value)
    return most


def run(database: Database, taken: Claim, value: Value) -> None:
    losses = [value(trial.arm["activation"]["kind"], trial.seed) for trial in taken.trials]
    gone: list[Divergence] = [{"slot": slot, "layer": "loss"} for slot, loss in enumerate(losses) if loss is None]
    start: EpochReport = {"epoch": 0, "seconds": 0.1, "metrics": {"val_loss": [9.0] * len(losses)}}
    end: EpochReport = {"epoch": 1, "seconds": 0.1, "metrics": {"val_loss": losses}, "diverged": gone}
    report: Epochs = {"type": "epochs", "from": 0, "to": 1, "epochs": [start, end]}
    with database.write() as session:
        commit_epochs(session, taken.cohort_id, taken.attempt, report, 30.0)
        finish(session, taken.cohort_id, taken.attempt)


def record(database: Database, experiment: str) -> tuple[str, dict[str, Any], int]:
    with database.read() as session:
        row = session.get_one(ExperimentRow, experiment)
        count = session.scalar(select(func.count()).where(TrialRow.experiment_id == experiment))
        assert row.trial_count == count
        assert row.rounds is not None
        assert view(session, row).rounds == row.rounds
        return row.state, row.rounds, row.trial_count


def noisy(kind: str, seed: int) -> float:
    return (0.5 if kind == "relu" else 0.8) + 0.1 * np.sin(7.0 * seed + (kind == "tanh"))


def halfwidth(kind: str, seeds: int, level: float) -> float:
    values = [noisy(kind, seed) for seed in range(seeds)]
    return float(stats.t.ppf((1 + level) / 2, seeds - 1) * stats.sem(values))


def test_seeds_are_added_until_every_interval_is_narrow(database: Database, tmp_path: Path) -> None:
    # Four looks of two arms: each interval is made at 1 - 0.05 / 4 / 2.
    level = 1 - 0.05 / 4 / 2
    target = 1.0001 * max(halfwidth(kind, 9, level) for kind in ("relu", "tanh"))
    assert max(halfwidth(kind, 6, level) for kind in ("relu", "tanh")) > target
    experiment = submit(database, tmp_path, {"min": 3, "max": 12, "step": 3, "until": {"ci_halfwidth": target}})
    assert record(database, experiment)[1]["round"] == 1
    train(database, noisy)
    state, rounds, trials = record(database, experiment)
    assert (state, trials) == ("succeeded", 18)
    assert (rounds["round"], rounds["rounds"], rounds["seeds"], rounds["stopped"]) == (3, 4, 9, True)
    assert [look["seeds"] for look in rounds["looks"]] == [3, 6, 9]
    assert [look["stop"] for look in rounds["looks"]] == [False, False, True]
    assert [look["best"] for look in rounds["looks"]] == [None, None, None]
    assert rounds["looks"][0]["level"] == pytest.approx(level)
    assert "within" in rounds["reason"]
    assert "0.95" in rounds["guarantee"]
    with database.read() as session:
        answer = comparison(session, [experiment], Question())
        states = [
            event.payload["state"]
            for event in session.scalars(select(EventRow).where(EventRow.type == "state").order_by(EventRow.seq))
        ]
        done = session.scalar(select(func.count()).where(EventRow.type == "done"))
    assert [arm.n for arm in answer.arms] == [9, 9]
    assert answer.arms[0].mean == pytest.approx(np.mean([noisy("relu", seed) for seed in range(9)]))
    assert answer.pairs[0].n == 9
    assert states == ["queued", "running", "succeeded"]
    assert done == 1


def test_the_most_seeds_end_it_undecided(database: Database, tmp_path: Path) -> None:
    experiment = submit(database, tmp_path, {"min": 2, "max": 5, "step": 2, "until": {"ci_halfwidth": 1e-9}})
    train(database, noisy)
    state, rounds, trials = record(database, experiment)
    assert (state, trials, rounds["seeds"]) == ("succeeded", 10, 5)
    assert "last of 3 looks" in rounds["reason"]


def test_a_clear_order_stops_at_the_first_look(database: Database, tmp_path: Path) -> None:
    experiment = submit(database, tmp_path, {"min": 5, "max": 40, "until": "ranked"})
    train(database, lambda kind, seed: (0.1 if kind == "relu" else 5.0) + 0.01 * seed * (1 + (kind == "relu")))
    state, rounds, trials = record(database, experiment)
    assert (state, trials, rounds["round"]) == ("succeeded", 10, 1)
    assert rounds["reason"] == "the best arm is settled"
    assert rounds["looks"][-1]["best"] == "relu · he_uniform"


def test_the_same_order_is_never_settled_but_by_a_tolerance(database: Database, tmp_path: Path) -> None:
    def same(_: str, seed: int) -> float:
        return 0.1 * np.sin(seed)

    def nearly(kind: str, seed: int) -> float:
        return same(kind, seed) + (kind == "relu") * 1e-4 * np.sin(3 * seed)

    plain = submit(database, tmp_path, {"min": 4, "max": 6, "step": 2, "until": "ranked"})
    train(database, nearly)
    assert record(database, plain)[1]["seeds"] == 6
    tolerant = submit(
        database, tmp_path, {"min": 4, "max": 6, "step": 2, "until": {"ranked": "order", "tolerance": 0.1}}
    )
    train(database, nearly)
    assert record(database, tolerant)[1]["seeds"] == 4


def test_arms_that_always_diverge_are_no_reason_to_go_on(database: Database, tmp_path: Path) -> None:
    def value(kind: str, seed: int) -> float | None:
        return None if kind == "sigmoid" else noisy(kind, 0) + 1e-3 * seed * (1 + (kind == "relu"))

    experiment = submit(
        database, tmp_path, {"min": 4, "max": 20, "until": "ranked"}, activation=["sigmoid", "tanh", "relu"]
    )
    train(database, value)
    rounds = record(database, experiment)[1]
    assert rounds["seeds"] == 4
    assert rounds["looks"][-1]["best"] == "relu · he_uniform", "the arms that are left keep their names"
    hopeless = submit(database, tmp_path, {"min": 2, "max": 20, "until": "ranked"}, activation=["sigmoid"])
    train(database, value)
    state, rounds, _ = record(database, hopeless)
    assert (state, rounds["reason"]) == ("succeeded", "no trial has a finite val_loss")


def test_a_round_begins_when_the_last_of_its_cohorts_ends(database: Database, tmp_path: Path) -> None:
    experiment = submit(
        database, tmp_path, {"min": 4, "max": 8, "step": 4, "until": {"ci_halfwidth": 1e-9}}, cohort_width=2
    )
    assert train(database, noisy, most=3) == 3
    state, rounds, trials = record(database, experiment)
    assert (state, rounds["round"], trials) == ("running", 1, 8)
    assert train(database, noisy, most=1) == 1
    state, rounds, trials = record(database, experiment)
    assert (state, rounds["round"], trials) == ("running", 2, 16)
    train(database, noisy)
    with database.read() as session:
        sizes = list(session.scalars(select(CohortRow.size).order_by(CohortRow.position)))
        positions = list(session.scalars(select(TrialRow.position).order_by(TrialRow.position)))
        pairs = session.execute(select(TrialRow.arm_key, TrialRow.seed).distinct()).all()
    assert sizes == [2] * 8
    assert positions == list(range(16))
    assert len(pairs) == 16
    assert record(database, experiment)[0] == "succeeded"


def test_a_clone_with_other_seeds_has_no_rounds(database: Database, tmp_path: Path) -> None:
    experiment = submit(database, tmp_path, {"min": 3, "max": 12, "until": "ranked"})
    with database.read() as session:
        row = session.get_one(ExperimentRow, experiment)
        assert ExperimentSpec.model_validate(store.clone_spec(row, {})).rounds is not None
        assert ExperimentSpec.model_validate(store.clone_spec(row, {"seeds": 7})).rounds is None


@pytest.mark.parametrize(("wish", "state", "trials"), [("pause", "paused", 8), ("cancel", "succeeded", 4)])
def test_a_wish_that_comes_during_the_last_cohort(
    database: Database, tmp_path: Path, wish: str, state: str, trials: int
) -> None:
    experiment = submit(database, tmp_path, {"min": 2, "max": 4, "step": 2, "until": {"ci_halfwidth": 1e-9}})
    with database.write() as session:
        taken = claim(session, "w1", 30.0)
    assert taken is not None
    with database.write() as session:
        (request_pause if wish == "pause" else request_cancel)(session, experiment)
    run(database, taken, noisy)
    assert record(database, experiment)[::2] == (state, trials)
    if wish == "pause":
        assert train(database, noisy) == 0
        with database.write() as session:
            assert resume(session, experiment) in {"queued", "running"}
        assert train(database, noisy) == 1
        assert record(database, experiment)[0] == "succeeded"
