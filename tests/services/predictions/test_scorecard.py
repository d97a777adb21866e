"""The scorecard over made-up layers whose ratios are known. On both databases."""

import math

import pytest
from sqlalchemy import select

from services.db.database import Database
from services.db.tables import DiagnosticRow, ExperimentRow, TrialRow
from services.predictions.scorecard import experiment_check, scorecard
from tests.support.experiments import make_experiment

ARM = {"activation": {"kind": "relu"}, "initializer": {"kind": "he_normal"}}


def layer(trial_id: str, index: int, epoch: int = 0, **values: float | None) -> DiagnosticRow:
    return DiagnosticRow(trial_id=trial_id, epoch=epoch, layer=f"dense_{index}", layer_index=index, values=values)


@pytest.fixture
def measured(database: Database) -> str:
    """Two trials of one arm with three layers each; measured second moments 3, 4.5, 1 times the predicted ones."""
    with database.write() as session:
        experiment = make_experiment(session, (2,))
        for place, trial in enumerate(session.scalars(select(TrialRow).order_by(TrialRow.position))):
            trial.arm, trial.arm_key, trial.label = ARM, "a" * 16, "relu · he_normal"
            for index, factor in enumerate((3.0, 4.5, 1.0)):
                session.add(
                    layer(
                        trial.id,
                        index,
                        predicted_second_moment=2.0,
                        pre_activation_mean=1.0,
                        pre_activation_variance=2.0 * factor * math.e**place - 1.0,
                        predicted_backward_ratio=0.5,
                        backward_second_moment=(0.4, 0.3, 0.8)[index] * 10**place,
                    )
                )
            session.add(layer(trial.id, 0, epoch=1, pre_activation_mean=7.0))
    return experiment


def test_ratios_of_an_experiment(database: Database, measured: str) -> None:
    with database.read() as session:
        (arm,) = experiment_check(session, session.get_one(ExperimentRow, measured)).arms
    assert (arm.label, arm.trials) == ("relu · he_normal", 2)
    assert [layer.layer for layer in arm.layers] == ["dense_0", "dense_1", "dense_2"]
    first = arm.layers[0]
    assert first.predicted_second_moment == 2.0
    assert first.measured_second_moment == pytest.approx(6.0 * math.exp(0.5))
    assert first.measured_spread == pytest.approx(math.sqrt(0.5))
    assert first.measured_backward_ratio == pytest.approx(0.5)


def test_the_scores(database: Database, measured: str) -> None:
    with database.read() as session:
        card = scorecard(session)
    assert card.trials == 2
    (row,) = card.rows
    assert (row.activation, row.initializer, row.trials) == ("relu", "he_normal", 2)
    assert row.forward.n == 6
    assert row.forward.bias == pytest.approx((3 * 4.5) ** (1 / 3) * math.exp(0.5))
    assert row.forward.within_ten_percent == pytest.approx(1 / 6)
    assert row.forward.within_factor_two == pytest.approx(1 / 6)
    # Ratios 1 and 0.75 in both trials; the output layer is the unit.
    assert row.backward.n == 4
    assert row.backward.within_ten_percent == 0.5
    assert row.backward.typical_factor == pytest.approx((1 / 0.75) ** 0.5)


def test_what_is_not_there_is_null(database: Database) -> None:
    with database.write() as session:
        experiment = make_experiment(session, (1,))
    with database.read() as session:
        assert experiment_check(session, session.get_one(ExperimentRow, experiment)).arms == []
        assert scorecard(session).forward.bias is None
    with database.write() as session:
        trial = session.scalars(select(TrialRow)).one()
        trial.arm = ARM
        session.add(layer(trial.id, 0, pre_activation_mean=None, pre_activation_variance=None))
        session.add(layer(trial.id, 1, predicted_second_moment=None, backward_second_moment=0.0))
    with database.read() as session:
        (arm,) = experiment_check(session, session.get_one(ExperimentRow, experiment)).arms
        assert arm.layers[0].measured_second_moment is None
        assert arm.layers[1].measured_backward_ratio is None
        assert scorecard(session).rows[0].forward.n == 0
