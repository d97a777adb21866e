"""Comparisons of stored experiments against means and differences worked out here. On both databases."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import update
from sqlalchemy.orm import Session

from services.comparisons.comparison import Question, comparison
from services.db.base import new_id
from services.db.database import Database
from services.db.tables import CohortRow, CurveRow, ExperimentRow, TrialRow
from services.errors import ConflictError, InvalidInputError, NotFoundError

DATASET = {"name": "digits", "split": "random", "validation_fraction": 0.2, "standardize": True}
Curve = Callable[[int], list[float] | None]
"""The validation loss of a seed, epoch by epoch; None for a trial that diverged."""


def store(
    session: Session,
    arms: Mapping[tuple[str, str], Curve],
    *,
    name: str | None = None,
    dataset: Mapping[str, Any] | None = None,
    seeds: int = 4,
    digest: str | None = "d" * 64,
    joules: float | None = None,
    batch_size: int = 32,
    **spec: Any,
) -> str:
    """A final experiment with these arms, its curves packed; the training loss is half of the validation loss."""
    epochs = max(len(losses) for curve in arms.values() if (losses := curve(0) or curve(1))) - 1
    experiment = ExperimentRow(
        id=new_id("exp"),
        name=name,
        state="succeeded",
        spec={"dataset": {**DATASET, **(dataset or {})}, "loss": "cross_entropy", **spec},
        spec_version=1,
        spec_digest="0" * 64,
        dataset="digits",
        dataset_digest=digest,
        epochs=epochs,
        trial_count=len(arms) * seeds,
        axes=["activation", "initializer"],
    )
    session.add(experiment)
    session.flush()
    cohort = CohortRow(id=new_id("coh"), experiment_id=experiment.id, position=0, size=len(arms) * seeds, epochs=epochs)
    session.add(cohort)
    session.flush()
    place = 0
    for (activation, initializer), curve in arms.items():
        for seed in range(seeds):
            values = curve(seed)
            trial = TrialRow(
                id=new_id("trl"),
                experiment_id=experiment.id,
                cohort_id=cohort.id,
                slot=place,
                position=place,
                arm={
                    "activation": {"kind": activation},
                    "initializer": {"kind": initializer},
                    "batch_size": batch_size,
                },
                arm_key=f"{activation}-{initializer}"[:16],
                label=f"{activation} · {initializer}",
                seed=seed,
                state="diverged" if values is None else "succeeded",
                energy_joules=joules,
                energy_method=None if joules is None else "cpu_time_estimate",
            )
            place += 1
            session.add(trial)
            session.flush()
            packed = {"val_loss": values, "train_loss": values and [value / 2 for value in values]}
            for metric, numbers in packed.items():
                content = np.array([np.nan] if numbers is None else numbers, dtype="<f8").tobytes()
                session.add(CurveRow(trial_id=trial.id, metric=metric, values=content))
    return experiment.id


def falling(start: float, final: float) -> Curve:
    return lambda seed: [start, (start + final) / 2, final + 0.01 * seed * (1 + final)]


def ask(database: Database, *ids: str, **question: Any) -> Any:
    grams = question.pop("grams_per_kwh", None)
    with database.read() as session:
        return comparison(session, ids, Question(**question), grams)


def test_two_experiments_side_by_side_are_paired_on_seed(database: Database) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): falling(2.0, 0.5)}, name="first")
        b = store(session, {("tanh", "he"): falling(2.0, 0.8)}, name="second")
    answer = ask(database, a, b)
    assert [arm.label for arm in answer.arms] == ["first: relu · he", "second: tanh · he"]
    assert [arm.arm for arm in answer.arms] == [{"activation": {"kind": "relu"}}, {"activation": {"kind": "tanh"}}]
    seeds = np.arange(4)
    ours, theirs = 0.5 + 0.015 * seeds, 0.8 + 0.018 * seeds
    (pair,) = answer.pairs
    assert (pair.a.label, pair.n) == ("first: relu · he", 4)
    assert pair.difference.mean == pytest.approx(np.mean(ours - theirs))
    low, high = stats.t.interval(0.95, 3, np.mean(ours - theirs), stats.sem(ours - theirs))
    assert (pair.difference.ci.low, pair.difference.ci.high) == pytest.approx((low, high))
    assert answer.arms[0].generalization is not None
    assert answer.arms[0].generalization.gap.mean == pytest.approx(np.mean(ours) / 2)


def test_axes_are_pooled_across_experiments(database: Database) -> None:
    def arms(kind: str, level: float) -> dict[tuple[str, str], Curve]:
        return {(kind, "he"): falling(2.0, level), (kind, "glorot"): falling(2.0, level + 0.2)}

    with database.write() as session:
        a, b = store(session, arms("relu", 0.5)), store(session, arms("tanh", 0.7))
    answer = ask(database, a, b, by=("activation",))
    assert [arm.label for arm in answer.arms] == ["relu", "tanh"]
    expected = [np.mean([0.5 + 0.015 * seed, 0.7 + 0.017 * seed]) for seed in range(4)]
    assert answer.arms[0].n == 4
    assert answer.arms[0].mean == pytest.approx(np.mean(expected))
    assert answer.arms[0].std == pytest.approx(np.std(expected, ddof=1))


def test_arms_that_are_the_same_differ_by_their_experiment(database: Database) -> None:
    same = {("relu", "he"): falling(2.0, 0.5)}
    with database.write() as session:
        a = store(session, same, model={"kind": "mlp", "hidden": [10]})
        b = store(session, same, model={"kind": "mlp", "hidden": [99]})
    answer = ask(database, a, b)
    assert [arm.arm for arm in answer.arms] == [{"experiment": a}, {"experiment": b}]
    assert len({arm.key for arm in answer.arms}) == 2
    pooled = ask(database, a, b, by=("experiment",))
    assert [arm.arm for arm in pooled.arms] == [{"experiment": a}, {"experiment": b}]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"dataset": {"split": "tail"}}, "dataset.split"),
        ({"dataset": {"name": "mnist"}}, "dataset.name"),
        ({"dataset": {"validation_fraction": 0.3}}, "dataset.validation_fraction"),
        ({"dataset": {"noise": 0.1}}, "dataset.noise"),
        ({"digest": "e" * 64}, "digest"),
        ({"loss": "mse"}, "val_loss is"),
        ({"loss": "binary_cross_entropy"}, "val_loss is"),
    ],
)
def test_what_was_measured_otherwise_is_not_compared(database: Database, change: dict[str, Any], word: str) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): falling(2.0, 0.5)})
        b = store(session, {("relu", "he"): falling(2.0, 0.5)}, **change)
    with pytest.raises(InvalidInputError, match=word) as refused:
        ask(database, a, b)
    assert refused.value.problems[0].pointer == "/experiments/1"


def test_the_training_size_may_differ_where_no_unit_depends_on_it(database: Database) -> None:
    with database.write() as session:
        plain = [
            [
                store(session, {("relu", "he"): falling(2, 0.5)}, dataset={"train_size": n}, loss=loss)
                for n in (100, 200)
            ]
            for loss in ("cross_entropy", "binary_cross_entropy")
        ]
        scaled = [
            store(session, {("relu", "he"): falling(2, 0.5)}, dataset={"train_size": n}, loss="mae") for n in (100, 200)
        ]
    for ids in plain:
        assert len(ask(database, *ids).arms) == 2
    with pytest.raises(InvalidInputError, match="train_size"):
        ask(database, *scaled)


def test_experiments_of_different_length(database: Database) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): lambda seed: [2.0, 1.0, 0.9 - 0.01 * seed]})
        b = store(session, {("tanh", "he"): lambda seed: [2.0, 1.0, 0.7, 0.6, 0.5 - 0.02 * seed]})
    answer = ask(database, a, b)
    assert [arm.convergence.horizon for arm in answer.arms] == [2, 4]
    assert answer.ranking[0].label.endswith("tanh · he")


def test_divergence_counts_and_never_enters_a_mean(database: Database) -> None:
    with database.write() as session:
        a = store(
            session,
            {
                ("relu", "he"): lambda seed: None if seed == 2 else [2.0, 0.1],
                ("tanh", "he"): lambda seed: [2.0, 1.0 + 0.1 * seed],
            },
        )
    answer = ask(database, a)
    relu = answer.arms[0]
    assert (relu.n, relu.diverged, relu.mean) == (4, 1, pytest.approx(0.1))
    assert relu.stability.diverged_share == 0.25
    assert answer.ranking[0].label == "tanh · he"
    assert "diverged" in answer.verdict


def test_energy_becomes_carbon_dioxide_only_with_a_grid(database: Database) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): falling(2, 0.5)}, joules=7200.0)
    environment = ask(database, a).arms[0].environment
    assert (environment.joules_per_trial, environment.joules_total) == (7200.0, 28_800.0)
    assert environment.share_rule.endswith("; cpu_time_estimate")
    assert (environment.method, environment.grams_co2e_per_trial) == ("estimated", None)
    environment = ask(database, a, grams_per_kwh=500.0).arms[0].environment
    # 7,200 J are 2 Wh, at 0.5 g each.
    assert environment.grams_co2e_per_trial == pytest.approx(1.0)
    assert environment.grams_co2e_total == pytest.approx(4.0)


def test_nothing_to_say(database: Database) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): falling(2, 0.5)})
        session.execute(update(TrialRow).values(state="failed"))
    with pytest.raises(ConflictError):
        ask(database, a)
    with pytest.raises(NotFoundError):
        ask(database, a, "exp_0")
    with pytest.raises(InvalidInputError, match="metric"):
        ask(database, a, metric="val_colour")


def test_a_metric_says_how_it_was_measured(database: Database) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): falling(2, 0.5)})
        for trial in session.query(TrialRow):
            session.add(
                CurveRow(trial_id=trial.id, metric="val_loss_batch", values=np.array([3.0, 2.0, 1.0]).tobytes())
            )
    assert ask(database, a, metric="val_loss_batch").arms[0].mean == 1.0


def test_experiments_that_differ_in_more_than_their_arms_say_so(database: Database) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): lambda seed: [2.0, 1.0, 0.9 - 0.01 * seed]}, model={"kind": "mlp"})
        b = store(
            session,
            {("tanh", "he"): lambda seed: [2.0, 0.7, 0.6, 0.5 - 0.02 * seed]},
            model={"kind": "deep_mlp", "depth": 9},
            batch_size=64,
        )
    answer = ask(database, a, b)
    assert [warning.split(":")[0] for warning in answer.warnings] == [
        "the experiments differ in epochs (2 against 3)",
        "the experiments differ in model (mlp against deep_mlp with depth 9)",
        "the experiments differ in batch size (32 against 64)",
    ]
    assert "; the experiments differ also in epochs (2 against 3), model (mlp against" in answer.verdict
    assert ask(database, a).warnings == []


def test_what_alone_differs_is_what_is_compared(database: Database) -> None:
    same = {("relu", "he"): falling(2.0, 0.5)}
    with database.write() as session:
        a, b = store(session, same), store(session, same, batch_size=64)
        other = store(session, {("tanh", "he"): falling(2.0, 0.5)}, batch_size=64)
    assert ask(database, a, b).warnings == []
    assert "batch size (32 against 64)" in ask(database, a, other).warnings[0]


def test_a_training_size_that_may_differ_is_named(database: Database) -> None:
    with database.write() as session:
        ids = [store(session, {("relu", "he"): falling(2, 0.5)}, dataset={"train_size": n}) for n in (100, 200)]
    assert "dataset.train_size (100 against 200)" in ask(database, *ids).verdict


def test_the_best_epoch_is_said_to_flatter(database: Database) -> None:
    with database.write() as session:
        a = store(session, {("relu", "he"): falling(2.0, 0.5), ("tanh", "he"): falling(2.0, 0.6)})
    assert "flatters" in ask(database, a, at="best").warnings[0]
    assert ask(database, a).warnings == []
