"""Which layers are read for a figure: those it asks for, of every seed, and never too many. On both databases."""

from typing import Any

import pytest
from sqlalchemy import select

import services.results.layer_loader as module
from services.db.database import Database
from services.db.tables import DiagnosticRow, ExperimentRow, TrialRow
from services.results.layer_loader import last_layers, measured_trials, read_layers, untrained_layers
from services.results.loader import load_results
from services.science.figures import GradientFlow, LayerHistograms, NoFigureDataError, Prediction
from services.science.results import LayerWish
from tests.support.experiments import make_experiment

HISTOGRAM = {"below": 0, "counts": [1, 2, 3], "above": 4}


def measured(database: Database, epochs: tuple[int, ...] = (0, 1, 2, 4), **changes: Any) -> str:
    """Three arms of two seeds with two layers each; the last seed of the last arm diverged after epoch 1."""
    with database.write() as session:
        experiment = make_experiment(session, (6,), epochs=4)
        query = select(TrialRow).where(TrialRow.experiment_id == experiment).order_by(TrialRow.position)
        for place, trial in enumerate(session.scalars(query)):
            trial.arm_key, trial.label, trial.seed = f"arm{place // 2}", f"arm {place // 2}", place % 2
            session.add_all(
                DiagnosticRow(
                    trial_id=trial.id,
                    epoch=epoch,
                    layer=f"dense_{layer}",
                    layer_index=layer,
                    values={
                        "gradient_norm": 10.0**-layer * (1 + place),
                        "update_ratio": None if epoch == 0 else 0.1,
                        "predicted_second_moment": 0.5 if epoch == 0 else None,
                        "pre_activation_mean": 0.1,
                        "pre_activation_variance": 0.2,
                        "histogram": HISTOGRAM if layer == 0 else None,
                        **changes,
                    },
                )
                for epoch in epochs
                for layer in range(2)
                if not (place == 5 and epoch > 1)
            )
    return experiment


def read(database: Database, experiment: str, *wishes: LayerWish | None) -> tuple[Any, tuple[str, ...]]:
    with database.read() as session:
        arms = load_results(session, session.get_one(ExperimentRow, experiment)).arms
        return read_layers(session, arms, [wish for wish in wishes if wish])


def test_every_seed_is_read_and_only_what_is_asked_for(database: Database) -> None:
    experiment = measured(database)
    measured(database)
    records, left_out = read(database, experiment, GradientFlow().layers())
    assert left_out == ()
    assert {record.epoch for record in records} == {0, 4}
    assert len(records) == 6 * 2 + 5 * 2
    assert all(set(record.values) == {"gradient_norm"} for record in records)
    norms = {(r.arm_key, r.seed, r.epoch, r.layer_index): r.values["gradient_norm"] for r in records}
    assert norms["arm1", 1, 4, 1] == pytest.approx(0.4)
    assert ("arm2", 1, 4, 0) not in norms
    assert {r.epoch for r in read(database, experiment, GradientFlow(quantity="update_ratio").layers())[0]} == {1, 4}
    with pytest.raises(NoFigureDataError, match="but after: 0, 1, 2, 4"):
        read(database, experiment, GradientFlow(epoch=3).layers())


def test_histograms_are_read_of_one_arm(database: Database) -> None:
    experiment = measured(database)
    records, _ = read(database, experiment, LayerHistograms(arm="arm 2").layers())
    assert {record.arm_key for record in records} == {"arm2"}
    assert [(r.seed, r.epoch) for r in records] == [(0, 0), (0, 1), (0, 2), (0, 4), (1, 0), (1, 1)]
    assert records[0].values == {"histogram": HISTOGRAM}
    assert {record.arm_key for record in read(database, experiment, LayerHistograms().layers())[0]} == {"arm0"}
    with pytest.raises(NoFigureDataError, match="there are: arm 0, arm 1, arm 2"):
        read(database, experiment, LayerHistograms(arm="nothing").layers())


def test_two_figures_share_their_records(database: Database) -> None:
    records, _ = read(database, measured(database), GradientFlow().layers(), Prediction().layers())
    first = next(r for r in records if (r.arm_key, r.seed, r.epoch, r.layer_index) == ("arm0", 0, 0, 0))
    assert first.values["gradient_norm"] == 1.0
    assert first.values["predicted_second_moment"] == 0.5
    assert len({(r.arm_key, r.seed, r.epoch, r.layer) for r in records}) == len(records)


def test_zeros_choose_no_epoch_but_are_read(database: Database) -> None:
    experiment = measured(database)
    with database.write() as session:
        for row in session.scalars(select(DiagnosticRow).join(TrialRow).where(TrialRow.experiment_id == experiment)):
            if row.epoch == 4 or row.layer_index == 1:
                row.values = {**row.values, "gradient_norm": 0.0}
    records, _ = read(database, experiment, GradientFlow().layers())
    assert {record.epoch for record in records} == {0, 2}
    assert {record.values["gradient_norm"] for record in records if record.layer_index == 1} == {0.0}


def test_arms_that_do_not_fit_are_left_out_and_named(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = measured(database)
    monkeypatch.setattr(module, "MOST_RECORDS", 16)
    records, left_out = read(database, experiment, GradientFlow().layers())
    assert {record.arm_key for record in records} == {"arm0", "arm1"}
    assert left_out == ("arm 2",)
    monkeypatch.setattr(module, "MOST_RECORDS", 3)
    records, left_out = read(database, experiment, GradientFlow().layers())
    assert len(records) == 3
    assert left_out == ("arm 1", "arm 2", "seeds of arm 0 beyond the first")


def test_seeds_that_are_all_shown_are_not_called_left_out(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first arm's two seeds fit, the second arm's do not."""
    experiment = measured(database, epochs=(0,))
    monkeypatch.setattr(module, "MOST_RECORDS", 4)
    records, left_out = read(database, experiment, GradientFlow().layers())
    assert {(record.arm_key, record.seed) for record in records} == {("arm0", 0), ("arm0", 1)}
    assert left_out == ("arm 1", "arm 2")


def test_nothing_measured_is_nothing_read(database: Database) -> None:
    assert read(database, measured(database, gradient_norm=None), GradientFlow().layers()) == ((), ())
    assert read(database, measured(database, histogram=None), LayerHistograms().layers()) == ((), ())
    with database.write() as session:
        experiment = make_experiment(session, (2,))
    assert read(database, experiment, GradientFlow().layers(), Prediction().layers()) == ((), ())


def test_however_many_trials_a_statement_takes_the_answer_is_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = measured(database)
    norm = DiagnosticRow.values["gradient_norm"].as_float()

    def everything() -> Any:
        with database.read() as session:
            arms = load_results(session, session.get_one(ExperimentRow, experiment)).arms
            return (
                read_layers(session, arms, [GradientFlow().layers(), Prediction().layers()]),
                untrained_layers(session, arms, ("gradient_norm",)),
                last_layers(session, arms, ("gradient_norm",), (), norm < 1.0),
                measured_trials(session, arms),
            )

    at_once = everything()
    _, untrained, last, counts = at_once
    assert [[record.layer_index for record in records] for records in untrained.values()] == [[0, 1]] * 6
    assert [(r.arm_key, r.seed, r.epoch, r.layer_index) for r in last] == [
        *((f"arm{arm}", seed, 4, 1) for arm, seed in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0))),
        ("arm2", 1, 1, 1),
    ], "of the trial that diverged after epoch 1 that was the last"
    assert counts == {"arm0": 2, "arm1": 2, "arm2": 2}
    monkeypatch.setattr(module, "IDS_AT_ONCE", 4)
    monkeypatch.setattr(module, "COUNTS_AT_ONCE", 2)
    assert everything() == at_once
