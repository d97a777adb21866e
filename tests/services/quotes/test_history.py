"""Quotes: what finished cohorts teach, and how a grid's seconds are put together."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from services.db.database import Database
from services.db.tables import CalibrationRow, CohortRow, ExperimentRow, TrialRow, WorkerRow
from services.experiments.plan import Prepared, plan
from services.experiments.store import create
from services.experiments.views import view
from services.quotes.calibration_keys import Place
from services.quotes.forecast import predict
from services.quotes.history import FIRST_SPREAD, MEMORY, known_rate, learn, shape_key, trial_steps
from services.science.spec import Arm, ExperimentSpec
from services.settings import Settings

DOCUMENT = {"dataset": "digits", "activation": ["relu", "tanh"], "initializer": "he_uniform", "epochs": 10, "seeds": 4}
CIFAR = {"dataset": "cifar10", "activation": "relu", "initializer": "he_uniform", "epochs": 5, "seeds": 2}
LONG = {"model": {"kind": "mlp", "hidden": [1000, 1000]}, "epochs": 100}
START = datetime(2026, 1, 1, tzinfo=UTC)


def spec(**changes: object) -> ExperimentSpec:
    return ExperimentSpec.model_validate({**DOCUMENT, **changes}).resolved()


def ran(database: Database, seconds: float, beyond: float = 0.5, engine: str = "native", **changes: object) -> str:
    """An experiment of one cohort that took so long; returns its id."""
    with database.write() as session:
        experiment = create(session, spec(**changes), Settings())
        (cohort,) = session.scalars(select(CohortRow).where(CohortRow.experiment_id == experiment.id))
        cohort.state = "running"
        cohort.state, cohort.attempt, cohort.device = "succeeded", 1, "cpu"
        cohort.duration_seconds = seconds
        cohort.started_at = experiment.started_at = START
        cohort.finished_at = experiment.finished_at = START + timedelta(seconds=seconds + beyond)
        experiment.state = "succeeded"
        for trial in session.scalars(select(TrialRow).where(TrialRow.cohort_id == cohort.id)):
            trial.state = "succeeded"
        session.flush()
        assert learn(session, cohort.id, engine)
        return experiment.id


def key(**changes: object) -> str:
    return Prepared(spec(**changes), Settings()).loads[0].shape


def test_a_quote_rests_on_what_the_same_shape_took(database: Database) -> None:
    ran(database, seconds=3.0)
    with database.read() as session:
        loads = Prepared(spec(), Settings()).loads
        seconds = predict(session, loads, 1)
        longer = predict(session, Prepared(spec(epochs=100), Settings()).loads, 1)
    assert seconds.expected == pytest.approx(3.5)
    assert seconds.low < 3.5 < seconds.high
    assert seconds.basis == "1 finished cohort of the same shape (native on cpu)"
    assert longer.expected == pytest.approx(30.5)  # the start is paid once


def test_measurements_are_averaged_and_their_scatter_widens_the_range(database: Database) -> None:
    for seconds in (1.0, 1.0, 2.0):
        ran(database, seconds=seconds)
    steps = trial_steps(spec(), 32, 8)
    assert steps == 8 * 10 * -(-1438 // 32)
    with database.read() as session:
        rate = known_rate(session, key())
        predicted = predict(session, Prepared(spec(), Settings()).loads, 1)
    assert rate is not None
    assert rate.samples == 3
    assert rate.microseconds == pytest.approx(1e6 / steps * (MEMORY + 2 * (1 - MEMORY)))
    assert rate.spread == pytest.approx((1 - MEMORY) * 0.6931, rel=1e-3)  # 0, then log 2
    assert predicted.low < predicted.expected < predicted.high


def test_shapes_are_told_apart_by_what_costs_time() -> None:
    base = key()
    assert base == key(activation=["sigmoid", "elu"], initializer="glorot_normal", epochs=3)
    others = [{"batch_size": 64}, {"optimizer": "adam"}, {"model": {"kind": "mlp", "hidden": [9]}}, {"seeds": 40}]
    assert len({base, *(key(**change) for change in others)}) == 5


def test_the_engine_that_measured_last_is_believed(database: Database) -> None:
    ran(database, seconds=9.0, engine="eager")
    ran(database, seconds=1.0, engine="native")
    with database.read() as session:
        rate = known_rate(session, key())
    assert rate is not None
    assert (rate.place, rate.samples, rate.spread) == (Place("native", "cpu"), 1, FIRST_SPREAD)


def test_an_unknown_shape_falls_back_on_a_count(database: Database) -> None:
    ran(database, seconds=3.0)
    with database.read() as session:
        seconds = predict(session, Prepared(spec(batch_size=64), Settings()).loads, 1)
        mixed = predict(session, Prepared(spec(batch_size=[32, 64]), Settings()).loads, 1)
    assert seconds.basis.startswith("a count of the arithmetic")
    assert mixed.basis.startswith("1 finished cohort of the same shape (native on cpu); for the rest a count")


def test_a_rate_from_one_epoch_does_not_reach_to_ten_thousand(database: Database) -> None:
    ran(database, seconds=0.4, epochs=1)  # most of it is not the work, of which there are seven milliseconds
    with database.read() as session:
        quotes = {
            epochs: (predict(session, loads, 1), loads[0].seconds)
            for epochs in (10, 10_000)
            for loads in [Prepared(spec(epochs=epochs), Settings()).loads]
        }
    near, far = quotes[10][0], quotes[10_000]
    assert near.expected == pytest.approx(0.5 + 4.0)
    assert far[0].expected < 1.2 * far[1]
    assert far[0].high / far[0].low > 3 * near.high / near.low


def test_small_studies_do_not_multiply_the_quote_of_a_large_one(database: Database) -> None:
    for batch in range(10, 30):
        # One trial and one epoch: counted as next to nothing beside the start, which takes seconds.
        ran(database, seconds=0.05, beyond=4.0, batch_size=batch, seeds=1, activation="relu", epochs=1)
    with database.read() as session:
        loads = Prepared(ExperimentSpec.model_validate(CIFAR), Settings()).loads
        seconds = predict(session, loads, 1)
    counted = sum(load.seconds for load in loads)
    assert counted / 2 < seconds.expected < 2 * counted
    assert seconds.low < counted < seconds.high
    assert "start-up of the last 20 finished cohorts; none of them trained for long" in seconds.basis


def test_a_long_cohort_is_remembered_behind_many_short_ones(database: Database) -> None:
    work = Prepared(spec(**LONG), Settings()).loads[0].work
    for _ in range(3):
        ran(database, seconds=3.0 * work, **LONG)
    for batch in range(10, 32):
        ran(database, seconds=0.05, batch_size=batch, seeds=1, activation="relu", epochs=1)
    with database.read() as session:
        (load,) = Prepared(spec(**{**LONG, "batch_size": 64}), Settings()).loads
        seconds = predict(session, [load], 1)
    assert seconds.low < 3.0 * load.work < seconds.high
    assert seconds.expected > 2.0 * load.work
    assert seconds.basis.endswith("corrected by the last 3 finished cohorts")


def test_a_cohort_that_gave_way_teaches_its_training(database: Database) -> None:
    ran(database, seconds=3.0)
    with database.write() as session:
        cohort = session.scalars(select(CohortRow)).one()
        cohort.attempt, cohort.interruptions, cohort.duration_seconds = 3, 2, 6.0
        cohort.finished_at = START + timedelta(hours=1)
        session.flush()
        assert learn(session, cohort.id, "native")
    with database.read() as session:
        rate = known_rate(session, key())
    assert rate is not None
    assert (rate.samples, rate.startup_seconds) == (2, 0.5)
    assert rate.microseconds * trial_steps(spec(), 32, 8) == pytest.approx(1e6 * (MEMORY * 3.0 + (1 - MEMORY) * 6.0))


def test_starts_that_differ_widen_the_range_of_what_repeats(database: Database) -> None:
    for beyond in (0.5, 0.5, 0.5, 0.4, 3.0, 0.5):
        ran(database, seconds=0.05, beyond=beyond)
    with database.read() as session:
        seconds = predict(session, Prepared(spec(), Settings()).loads, 1)
    assert seconds.high > 3.0
    assert seconds.low < 0.45


def test_one_start_that_was_held_up_does_not_stand_for_all(database: Database) -> None:
    ran(database, seconds=3.0, beyond=0.5)
    ran(database, seconds=3.0, beyond=3600.0)
    with database.read() as session:
        rate = known_rate(session, key())
    assert rate is not None
    assert rate.startup_seconds < 1.5


def test_disturbed_and_diverged_cohorts_teach_nothing(database: Database) -> None:
    ran(database, seconds=3.0)
    for change in ({"attempt": 2}, {"attempt": 2, "interruptions": 1, "losses": 1}, {"state": "failed"}):
        with database.write() as session:
            session.execute(update(CohortRow).values(change))
            cohort = session.scalars(select(CohortRow)).one()
            assert not learn(session, cohort.id, "native")
            session.rollback()
    with database.write() as session:
        session.scalars(select(TrialRow)).first().state = "diverged"  # pyright: ignore[reportOptionalMemberAccess]
        session.flush()
        assert not learn(session, session.scalars(select(CohortRow.id)).one(), "native")
    with database.read() as session:
        assert {row.samples for row in session.scalars(select(CalibrationRow))} == {1}


def test_the_experiment_shows_its_quote_beside_what_it_took(database: Database) -> None:
    first = ran(database, seconds=3.0)
    second = ran(database, seconds=4.0)
    with database.read() as session:
        quotes = [view(session, session.get_one(ExperimentRow, name)).quote for name in (first, second)]
    assert [quote and quote["actual_seconds"] for quote in quotes] == pytest.approx([3.5, 4.5])
    assert quotes[1] is not None
    assert quotes[1]["seconds"]["expected"] == pytest.approx(3.5)


def test_as_many_cohorts_as_slots(database: Database) -> None:
    with database.write() as session:
        assert [cohort.size for cohort in plan(session, spec(), Settings()).cohorts] == [8]
        row = {"host": "h", "boot_id": "b", "pid": 1, "pid_start_time": 0.0, "heartbeat_at": 4e9}
        session.add(WorkerRow(id="wrk_1", slots=3, **row))
        session.flush()
        quote = plan(session, spec(), Settings())
    assert [cohort.size for cohort in quote.cohorts] == [3, 2, 3]


def test_a_key_is_short_enough_for_its_column() -> None:
    arm = Arm.model_validate({"activation": "relu", "initializer": "zeros", "optimizer": "sgd", "batch_size": 32})
    assert len(f"{shape_key(spec(), arm, 8)}:native:cuda:spread") <= 64
