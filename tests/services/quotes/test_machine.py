"""Measured rates of a machine: kept whole, believed when newest, and what quotes make of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from services.db.base import now
from services.db.database import Database
from services.db.tables import CalibrationRow, CohortRow, ExperimentRow, TrialRow
from services.experiments.plan import Prepared, plan
from services.experiments.store import create
from services.quotes.forecast import ASSUMED_DOUBT, MEASURED_DOUBT, predict
from services.quotes.machine import (
    ASSUMED,
    FORGET,
    NUMBERS,
    READY_SECONDS,
    Machine,
    checked,
    confirm,
    present,
    store,
)
from services.science.spec import ExperimentSpec
from services.settings import Settings

DOCUMENT = {"dataset": "digits", "activation": ["relu", "tanh"], "initializer": "he_uniform", "epochs": 10, "seeds": 4}
START = 0.4
LARGE = {"model": {"kind": "mlp", "hidden": [1000, 1000]}, "epochs": 100}
"""Trains so long that its start is little of it."""
MEASURED = {name: float(place + 1) for place, name in enumerate(NUMBERS)}
SLOW = {**{name: float(getattr(ASSUMED, name)) for name in NUMBERS}, "import_seconds": 1.5, "kernel_flops": 1e9}


def spec(**changes: object) -> ExperimentSpec:
    return ExperimentSpec.model_validate({**DOCUMENT, **changes}).resolved()


def seconds(machine: Machine, **changes: object) -> float:
    """What one cohort is expected to train."""
    (load,) = Prepared(spec(**changes), Settings(), machine=machine).loads
    return load.seconds - machine.startup_seconds


def finish(database: Database, experiment_id: str, ratio: float) -> None:
    """Let an experiment's cohorts have trained for `ratio` times what was counted for them, after `START` seconds."""
    with database.write() as session:
        experiment = session.get_one(ExperimentRow, experiment_id)
        assert experiment.quote is not None
        for cohort in session.scalars(select(CohortRow).where(CohortRow.experiment_id == experiment_id)):
            cohort.duration_seconds = ratio * experiment.quote["cohort_work"][cohort.position]
            cohort.state = "running"
            cohort.state, cohort.attempt = "succeeded", 1
            begin = now()
            cohort.started_at, cohort.finished_at = begin, begin + timedelta(seconds=cohort.duration_seconds + START)
            for trial in session.scalars(select(TrialRow).where(TrialRow.cohort_id == cohort.id)):
                trial.state = "succeeded"


def test_nothing_is_measured_at_first(database: Database) -> None:
    with database.read() as session:
        assert present(session) == ASSUMED
        assert not present(session).measured


def test_a_stored_set_comes_back_whole(database: Database) -> None:
    with database.write() as session:
        assert not confirm(session, "0123456789ab")
        store(session, "0123456789ab", MEASURED)
    with database.write() as session:
        assert confirm(session, "0123456789ab")
        machine = present(session)
    assert machine.measured
    assert {name: getattr(machine, name) for name in NUMBERS} == MEASURED
    assert (machine.digest, machine.startup_seconds) == ("0123456789ab", READY_SECONDS)


def test_the_machine_at_work_is_believed(database: Database) -> None:
    for digest in ("a" * 12, "b" * 12):
        with database.write() as session:
            store(session, digest, MEASURED)
    with database.read() as session:
        assert present(session).digest == "b" * 12
    with database.write() as session:
        assert confirm(session, "a" * 12)  # a worker on the first machine starts again
    with database.read() as session:
        assert present(session).digest == "a" * 12


def test_a_set_that_lacks_a_number_is_none(database: Database) -> None:
    with database.write() as session:
        store(session, "c" * 12, MEASURED)
        session.execute(delete(CalibrationRow).where(CalibrationRow.key.contains(NUMBERS[2])))
    with database.write() as session:
        assert present(session) == ASSUMED
        assert not confirm(session, "c" * 12)


def test_a_machine_long_gone_is_forgotten(database: Database) -> None:
    with database.write() as session:
        session.add(CalibrationRow(key="f" * 24 + ":native:cpu", value=1.0, updated_at=now() - 2 * FORGET))
        store(session, "d" * 12, MEASURED)
        session.execute(update(CalibrationRow).values(updated_at=now() - 2 * FORGET))
        store(session, "e" * 12, MEASURED)
    with database.read() as session:
        keys = set(session.scalars(select(CalibrationRow.key)))
    assert len(keys) == len(NUMBERS) + 1  # rates of finished cohorts stay
    assert not any("d" * 12 in key for key in keys)


def test_keys_are_short_enough_for_their_column() -> None:
    assert max(len(f"machine:{name}:0123456789ab") for name in NUMBERS) <= 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flops": 0.0}, "flops must be more than 0"),
        ({"flops": None}, "flops must be a finite number"),
        ({"step_seconds": -1.0}, "step_seconds must be"),
        ({"layer_seconds": float("nan")}, "layer_seconds must be"),
        ({"number_seconds": float("inf")}, "number_seconds must be"),
        ({"threads": "2"}, "threads must be"),
        ({"import_seconds": True}, "import_seconds must be"),
    ],
)
def test_numbers_that_cannot_be_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked({**MEASURED, **change})


@pytest.mark.parametrize("rates", [None, [], "fast", 3.0])
def test_what_is_no_set_is_refused(rates: object) -> None:
    with pytest.raises(ValueError, match="must be an object"):
        checked(rates)
    with pytest.raises(ValueError, match="kernel_flops must be"):
        checked({})


def test_a_machine_without_a_kernel_trains_all_with_pytorch() -> None:
    numbers = checked({**MEASURED, "kernel_flops": None, "kernel_trial_step_seconds": None})
    assert numbers["kernel_flops"] == 0.0
    without = replace(ASSUMED, kernel_flops=0.0)
    assert seconds(without) > 3 * seconds(ASSUMED)
    assert seconds(without, epochs=20) == pytest.approx(2 * seconds(without), rel=0.02)


def test_twice_the_rate_is_half_the_time() -> None:
    only = replace(ASSUMED, kernel_trial_step_seconds=0.0)
    many = {"epochs": 1000, "model": {"kind": "mlp", "hidden": [500, 500]}, "diagnostics": None}
    assert seconds(replace(only, kernel_flops=2e11), **many) == pytest.approx(seconds(only, **many) / 2, rel=0.01)
    cnn = {"dataset": "cifar10", "seeds": 1, "activation": "relu"}
    none = replace(ASSUMED, convolution_layer_seconds=0.0)
    assert seconds(replace(none, convolution_flops=8e10), **cnn) == pytest.approx(seconds(none, **cnn) / 2, rel=0.01)
    assert seconds(replace(none, convolution_number_seconds=1e-8), **cnn) > seconds(none, **cnn)
    assert seconds(replace(none, number_seconds=1e-8), **cnn) == seconds(none, **cnn)
    dense = replace(ASSUMED, kernel_flops=0.0)
    assert seconds(replace(dense, number_seconds=1e-8)) > seconds(dense)


def test_fewer_trials_than_threads_leave_threads_idle() -> None:
    wide = replace(ASSUMED, threads=8.0)
    assert seconds(wide) == pytest.approx(seconds(ASSUMED))  # eight trials
    assert seconds(wide, seeds=1) == pytest.approx(seconds(wide), rel=0.1)  # fewer numbers are stored
    assert seconds(ASSUMED, seeds=1) == pytest.approx(seconds(ASSUMED) / 4, rel=0.01)


def test_cohorts_that_follow_wait_for_their_process() -> None:
    batches = spec(batch_size=[16, 32, 64], epochs=1)
    machine = replace(ASSUMED, import_seconds=5.0, startup_seconds=0.2)
    assert [load.seconds < 5.0 for load in Prepared(batches, Settings(), 1, machine).loads] == [True, False, False]
    assert [load.seconds < 5.0 for load in Prepared(batches, Settings(), 2, machine).loads].count(True) == 2


def test_a_measured_machine_narrows_the_first_quote(database: Database) -> None:
    with database.write() as session:
        before = plan(session, spec(), Settings()).predicted_seconds
        store(session, "0123456789ab", SLOW)
        after = plan(session, spec(), Settings()).predicted_seconds
        machine = present(session)
        (load,) = Prepared(spec(), Settings(), machine=machine).loads
    assert (before.low, before.high) == pytest.approx(
        [before.expected / ASSUMED_DOUBT, before.expected * ASSUMED_DOUBT]
    )
    assert "a worker's machine" not in before.basis
    assert after.expected == pytest.approx(load.seconds)
    low, high = load.seconds / MEASURED_DOUBT, load.seconds * MEASURED_DOUBT
    assert (after.low, after.high) == pytest.approx([low, high + machine.import_seconds])
    assert after.basis.startswith("a count of the arithmetic at the rates measured on a worker's machine")


def test_counts_at_other_rates_say_nothing_of_these(database: Database) -> None:
    with database.write() as session:
        early = [create(session, spec(**LARGE), Settings()).id for _ in range(3)]
    for name in early:
        finish(database, name, ratio=9.0)
    other = spec(**LARGE, batch_size=64)
    with database.write() as session:
        loads = Prepared(other, Settings()).loads
        assert predict(session, loads, 1).expected > 4.0 * loads[0].seconds
        store(session, "0123456789ab", SLOW)
    with database.read() as session:
        machine = present(session)
        loads = Prepared(other, Settings(), machine=machine).loads
        assert predict(session, loads, 1, machine).expected == pytest.approx(loads[0].seconds)
    with database.write() as session:
        late = [create(session, spec(**LARGE), Settings()).id for _ in range(3)]
    for name in late:
        finish(database, name, ratio=2.0)
    with database.read() as session:
        seconds = predict(session, loads, 1, machine)
    # Three cohorts move it six sevenths of the way, as a logarithm, for what is assumed weighs as half a cohort.
    assert seconds.expected == pytest.approx(2.0 ** (6 / 7) * loads[0].seconds, rel=0.02)
    assert seconds.low < 2.0 * loads[0].seconds < seconds.high
    assert seconds.basis.endswith("corrected by the last 3 finished cohorts")


def test_the_dry_run_quotes_what_a_submission_stores(database: Database) -> None:
    with database.write() as session:
        for measured in (False, True):
            if measured:
                store(session, "0123456789ab", SLOW)
            planned = plan(session, spec(), Settings())
            stored = create(session, spec(), Settings()).quote
            assert stored is not None
            assert stored["seconds"] == planned.predicted_seconds.model_dump()
            assert stored["memory_bytes"] == planned.memory_bytes
            assert stored["machine"] == ("0123456789ab" if measured else "")
